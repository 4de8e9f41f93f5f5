// Elements, numbers, and small pictures.
export const $ = (query, root = document) => root.querySelector(query);
export const on = (node, ...rest) => node.addEventListener(...rest);

export function make(kind, props = {}, ...children) {
  const node = document.createElement(kind);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) on(node, name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;
export const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Show one of several elements, whose buttons stand in a group. */
export function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
}

/** Load a picture from an address of data, or of a blob. */
export async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** A canvas of a picture; small ones are drawn with hard edges, as the network has them. */
export function drawn(image, size, label) {
  const scale = size / Math.max(image.naturalWidth, image.naturalHeight);
  const sharp = Math.min(devicePixelRatio || 1, 2);
  const canvas = make("canvas", {width: Math.round(image.naturalWidth * scale * sharp),
    height: Math.round(image.naturalHeight * scale * sharp), role: "img", "aria-label": label});
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = scale < 2;
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

const mix = (a, b, t) => a + (b - a) * t;

/** The map's values at each pixel of a canvas, as shares of its peak. */
function spread(map, wide, high) {
  const rows = map.length, columns = map[0].length, peak = Math.max(...map.flat(), 1e-12);
  const inside = (x, most) => Math.min(Math.max(x, 0), most);
  const values = new Float32Array(wide * high);
  for (let v = 0; v < high; v++) for (let u = 0; u < wide; u++) {
    const y = inside((v + 0.5) / high * rows - 0.5, rows - 1), x = inside((u + 0.5) / wide * columns - 0.5, columns - 1);
    const y0 = Math.floor(y), x0 = Math.floor(x), y1 = Math.min(y0 + 1, rows - 1), x1 = Math.min(x0 + 1, columns - 1);
    values[v * wide + u] = mix(mix(map[y0][x0], map[y0][x1], x - x0), mix(map[y1][x0], map[y1][x1], x - x0), y - y0) / peak;
  }
  return values;
}

/** Lay over a canvas where the network looked: orange, and a line around half of the peak. */
export function heat(canvas, map) {
  const {width, height} = canvas, pen = canvas.getContext("2d");
  const values = spread(map, width, height), image = pen.getImageData(0, 0, width, height);
  const reach = Math.max(1, Math.round(width / 160));
  for (let i = 0; i < values.length; i++) {
    const u = i % width, own = values[i];
    const edge = own >= 0.5 && [-reach, reach, -reach * width, reach * width].some((step) =>
      values[i + step] < 0.5 && (Math.abs(step) > reach || (u + step >= 0 && u + step < width)));
    const [r, g, b] = image.data.subarray(4 * i, 4 * i + 3), grey = 0.8 * (0.3 * r + 0.59 * g + 0.11 * b);
    const share = edge ? 1 : 0.75 * Math.max(own, 0);
    image.data.set([mix(grey, 255, share), mix(grey, edge ? 160 : 122, share), mix(grey, edge ? 60 : 0, share)], 4 * i);
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}
