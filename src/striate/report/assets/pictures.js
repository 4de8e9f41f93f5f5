// Pictures.
/** A canvas whose pixel i has the colour that `of(i)` gives: red, green, blue, alpha. */
function raster(wide, high, of, props = {}) {
  const canvas = make("canvas", {width: wide, height: high, ...props}), pen = canvas.getContext("2d");
  const image = pen.createImageData(wide, high);
  for (let i = 0; i < wide * high; i++) image.data.set(of(i), 4 * i);
  pen.putImageData(image, 0, 0);
  return canvas;
}

const crisp = P.side <= 40;

function source(id) {
  const {cell, side, sheet} = P;
  const across = sheet / cell, here = id % (across * across), edge = floor((cell - side) / 2);
  return [sheets[floor(id / (across * across))],
    (here % across) * cell + edge, floor(here / across) * cell + edge, side];
}

/** A canvas of one picture; `look` lays over it where the network looked (0 to 2, see LOOKS). */
function picture(id, size, look = -1) {
  const side = P.side, sharp = min(devicePixelRatio || 1, 2);
  const pixels = crisp ? side * ceil(size * sharp / side) : round(size * sharp);
  const canvas = make("canvas", {width: pixels, height: pixels, "aria-hidden": "true"});
  canvas.style.width = canvas.style.height = `${size}px`;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = !crisp;
  const [sheet, x, y] = source(id);
  if (look >= 0) pen.filter = "grayscale(1) brightness(.8)";
  pen.drawImage(sheet, x, y, side, side, 0, 0, pixels, pixels);
  if (look >= 0 && camRow.has(id)) {
    pen.filter = "none";
    pen.imageSmoothingEnabled = true;
    pen.drawImage(heat(camRow.get(id), look, pixels), 0, 0);
  }
  return canvas;
}

/**
 * Where the network looked for the class predicted (0), the true one (1), or with weights shuffled
 * (2): the more, the less transparent; a line around what reaches half of this map's own peak.
 * An input that is not square lies in the middle of its picture, and so does its map.
 */
function heat(row, look, size) {
  const [map, high, wide] = looked(row, look), half = max(...map) / 2, [tall, broad] = D.looked.frame;
  const values = new Float32Array(size * size).fill(-1);
  const within = (pixel, share) => ((pixel + 0.5) / size - (1 - share) / 2) / share;
  for (let v = 0; v < size; v++) for (let u = 0; u < size; u++) {
    const down = within(v, tall), across = within(u, broad);
    if (abs(down - 0.5) > 0.5 || abs(across - 0.5) > 0.5) continue;
    const y = clamp(down * high - 0.5, 0, high - 1), x = clamp(across * wide - 0.5, 0, wide - 1);
    const y0 = floor(y), x0 = floor(x), y1 = min(y0 + 1, high - 1), x1 = min(x0 + 1, wide - 1);
    const at = (a, b) => map[a * wide + b], mix = (a, b, t) => a + (b - a) * t;
    values[v * size + u] = mix(mix(at(y0, x0), at(y0, x1), x - x0), mix(at(y1, x0), at(y1, x1), x - x0), y - y0);
  }
  const reach = max(1, round(size / 110));
  return raster(size, size, (i) => {
    const u = i % size, edge = half > 1 && values[i] >= half && [-reach, reach, -reach * size, reach * size].some((step) =>
      values[i + step] >= 0 && values[i + step] < half && (abs(step) > reach || (u + step >= 0 && u + step < size)));
    return edge ? [255, 160, 60, 255] : [255, 122, 0, max(values[i], 0) * 0.8];
  });
}

/** A map's values from 0 to 255, and its sides. */
function looked(row, look) {
  const [, , high, wide] = A.cam.shape, start = (row * 3 + look) * high * wide;
  return [A.cam.subarray(start, start + high * wide), high, wide];
}

const tile = (id, size, ...more) => knob({class: "tile" + (isWrong(id) ? " wrong" : ""), "data-picture": id,
    "aria-label": describe(id), title: D.files[id] ?? null}, picture(id, size), ...more);

/** Make arrow keys walk over the buttons of a gallery, of which Tab reaches one. */
function walkable(box, query = "button") {
  const items = () => $$(query, box);
  items().forEach((item, at) => { item.tabIndex = at ? -1 : 0; });
  if (box.dataset.walks) return box;
  box.dataset.walks = "yes";
  on(box, "keydown", (event) => {
    const all = items(), at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const top = all[0].getBoundingClientRect().top;
    const found = all.findIndex((item) => item.getBoundingClientRect().top > top + 4);
    const across = found < 0 ? all.length : found;
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across,
      Home: -at, End: all.length - 1 - at}[event.key];
    if (step === undefined || !all[at + step]) return;
    event.preventDefault();
    all[at].tabIndex = -1;
    all[at + step].tabIndex = 0;
    all[at + step].focus();
  });
  return box;
}

const press = (node, on) => node.setAttribute("aria-pressed", String(on));

/** Buttons of which one is pressed. */
function choice(label, names, chosen, act) {
  const buttons = names.map((name, at) => knob({"aria-pressed": String(at === chosen), onclick: () => {
      buttons.forEach((other, k) => press(other, k === at));
      act(at);
    }}, name));
  return make("div", {class: "choice", role: "group", "aria-label": label}, buttons);
}

function toggle(label, on, act) {
  const box = make("input", {type: "checkbox", onchange: () => act(box.checked)});
  box.checked = on;
  return make("label", {class: "toggle"}, box, label);
}

const redraws = [], redraw = () => redraws.forEach((act) => act());
on(darkened, "change", redraw);
for (const [event, is] of [["beforeprint", true], ["afterprint", false]]) on(window, event, () => {
  document.documentElement.classList.toggle("paper", is);
  redraw();
});

/** Open a section: its name, the finding as its heading, a note on how to read it. */
function open(id, finding, text) {
  const host = document.getElementById(id);
  host.setAttribute("aria-labelledby", `${id}-title`);
  host.append(make("p", {class: "kicker", "aria-hidden": "true"}, host.dataset.name),
    make("h2", {id: `${id}-title`}, finding), text ? note(text) : "");
  return host;
}
