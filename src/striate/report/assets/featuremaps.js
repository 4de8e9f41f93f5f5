// Feature maps.
/** Colours from -1 to 1; zero is near the page's colour, in the dark too. */
function ramp(value, signed) {
  const stops = isDark()
    ? signed ? ["#ffd0a0", "#e07020", "#22272c", "#2a8fd0", "#9adcff"] : ["#22272c", "#14609a", "#49a8e0", "#b9e2fb", "#ffffff"]
    : signed ? ["#7a3200", "#e8853d", "#f3f4f5", "#2b8cc4", "#003a5c"] : ["#f3f4f5", "#9fcbe6", "#2b8cc4", "#075788", "#06263c"];
  const place = (signed ? (value + 1) / 2 : max(value, 0)) * (stops.length - 1);
  const at = min(floor(place), stops.length - 2), share = place - at;
  const [a, b] = [rgb(stops[at]), rgb(stops[at + 1])];
  return a.map((x, k) => x + (b[k] - x) * share);
}

function featureMaps() {
  if (!D.layers.length) return drop("maps");
  const host = open("maps", D.findings.maps,
    [invite(`Choose a ${ONE}. `), `Each layer shows its most varied maps for the chosen ${ONE}, all maps of a layer on one scale.`]);
  const pictures = [...A.maps_of], rows = make("div", {class: "layers"}), shownNow = make("p", {class: "note shown", "aria-live": "polite"});
  let chosen = 0;
  const buttons = pictures.map((id, at) => knob({class: "tile" + (isWrong(id) ? " wrong" : ""),
    "aria-pressed": String(!at), "aria-label": `Show the maps of ${describe(id)}`, onclick: () => {
      chosen = at;
      buttons.forEach((button, k) => press(button, k === at));
      paint();
    }}, picture(id, 56)));
  host.append(walkable(make("div", {class: "strip pick", role: "group", "aria-label": title(D.kind)}, buttons)), shownNow, rows);

  function paint() {
    const id = pictures[chosen];
    shownNow.replaceChildren(describe(id), ". ", knob({class: "link", "data-picture": id}, "Open it"));
    rows.replaceChildren(...D.layers.map((layer, k) => {
      const values = A[`maps_${k}`], [, shown, high, wide] = values.shape;
      const table = new Uint8ClampedArray(255 * 3);
      for (let code = -127; code <= 127; code++) table.set(ramp(code / 127, layer.signed), (code + 127) * 3);
      const grid = make("div", {class: "mapgrid", role: "img",
        "aria-label": `${shown} of ${layer.of} maps of ${layer.name} for ${ONE} ${id}`});
      for (let c = 0; c < shown; c++) {
        const start = (chosen * shown + c) * high * wide;
        grid.append(raster(wide, high, (i) => {
          const at = (values[start + i] + 127) * 3;
          return [table[at], table[at + 1], table[at + 2], 255];
        }, {class: "crisp", title: `map ${layer.channels[c]}`}));
      }
      const more = layer.of - shown, zero = layer.silent ? `${layer.silent} of ${num(layer.of)} all zero. ` : "";
      return make("div", {class: "layer"}, make("div", {class: "label"}, strong(layer.name), para(layer.note), bar(layer),
        para(zero + (more > 0 ? `${num(more)} more maps not shown.` : ""))), grid);
    }));
  }
  function bar(layer) {
    const canvas = raster(128, 1, (i) => [...ramp(layer.signed ? i / 63.5 - 1 : i / 127, layer.signed), 255]);
    const most = layer.scale.toPrecision(2);
    return make("div", {class: "bar"}, canvas, make("div", {}, span(layer.signed ? `−${most}` : "0"),
      layer.signed ? span("0") : "", span(most)));
  }
  paint();
  redraws.push(paint);
}
