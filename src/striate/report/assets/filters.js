// Filters.
function filters() {
  if (!D.filters && !D.excited) return drop("filters");
  if (!D.filters) return excitation(open("filters", "What the layers answer to", ""));
  const [n, channels, high, wide] = D.filters.shape;
  const host = open("filters", D.findings.filters,
    `The ${n} filters of the first layer, ${high}×${wide}${channels === 3 ? " in colour" : ""}. ${howToRead(channels)}`);
  const drawn = filterGrid(D.filters, A.filters);
  host.append(make("div", {class: "tools"}, scaleChoice([drawn])), drawn.grid);
  if (D.excited) excitation(host);
}

/** Show for some maps of deeper layers the parts of pictures that excite each of them most. */
function excitation(host) {
  const {layers, pictures, through} = D.excited;
  host.append(h3("What excites deeper layers"), note(`For each map the parts of ${num(through)} ${D.splits[0]} ${D.kind} to which it answers most, one a ${ONE}, the strongest first; as much as one place of the map sees. The maps are those shown under Feature maps.`, invite(` Click a part to open its ${ONE}.`)));
  let start = 0;
  layers.forEach((layer, k) => {
    const rows = A[`excited_${k}`], [maps, top] = rows.shape, from = start;
    start += maps * top;
    const box = make("div", {class: "excited"}, layer.channels.map((channel, m) => make("figure", {},
      make("div", {}, Array.from({length: top}, (_, t) => knob({class: "tile", "data-picture": rows[m * top + t],
        "aria-label": `Map ${channel} of ${layer.name}: part of ${describe(rows[m * top + t])}`}, part(pictures, from + m * top + t)))),
      caption(`map ${channel}`))));
    host.append(make("div", {class: "layer"}, make("div", {class: "label"}, strong(layer.name),
      para(`${layer.kind}; a place sees ${layer.field} pixels`), para(maps < layer.of ? `${maps} of ${num(layer.of)} maps` : "")), walkable(box)));
  });
}

function part({side, cell, sheet}, id) {
  const across = sheet / cell, here = id % (across * across), edge = floor((cell - side) / 2);
  const canvas = make("canvas", {width: side, height: side, "aria-hidden": "true", class: "crisp"});
  canvas.getContext("2d").drawImage(excitedSheets[floor(id / (across * across))],
    (here % across) * cell + edge, floor(here / across) * cell + edge, side, side, 0, 0, side, side);
  return canvas;
}
const excitedSheets = D.excited ? await load(D.excited.pictures.sheets) : [];

const howToRead = (channels) => `Mid-grey is exactly zero. The bar below each is its norm. Ordered by orientation${channels === 3 ? ", then by hue" : ""}, dead ones last.`;
const scaleChoice = (drawn) => choice("Scale", ["Each filter on its own scale", "All on one scale"], 0,
  (at) => drawn.forEach(({paint}) => paint(at === 1)));

/** A grid of filters, and what paints it anew: each on its own scale, or all on one. */
function filterGrid({shape, order}, values) {
  const [n, channels, high, wide] = shape, size = high * wide;
  const norms = [], peaks = [];
  for (let f = 0; f < n; f++) {
    const part = values.subarray(f * channels * size, (f + 1) * channels * size);
    norms.push(hypot(...part));
    peaks.push(part.reduce((most, w) => max(most, abs(w)), 0));
  }
  const grid = make("div", {class: "filters"}), largest = max(...peaks), strongest = max(...norms);
  const paint = (shared) => grid.replaceChildren(...norms.map((norm, f) => {
    const most = (shared ? largest : peaks[f]) || 1;
    const at = (i, c) => values[(f * channels + (channels === 3 ? c : 0)) * size + i];
    const canvas = raster(wide, high, (i) => [0, 1, 2].map((c) => 127.5 * (1 + at(i, c) / most)).concat(255),
      {class: "crisp", role: "img", "aria-label": `Filter ${order[f]}, norm ${norm.toFixed(2)}`});
    const zoom = max(4, round(60 / wide));
    canvas.style.setProperty("--wide", wide * zoom);
    canvas.style.setProperty("--narrow", wide * max(3, floor(38 / wide)));
    const bar = make("span", {class: "norm"}, make("i"));
    bar.firstChild.style.width = `${100 * norm / strongest}%`;
    return make("figure", {title: `Filter ${order[f]}: norm ${norm.toFixed(2)}, largest weight ${peaks[f].toFixed(2)}`},
      canvas, bar, caption(String(order[f])));
  }));
  paint(false);
  return {grid, paint};
}
