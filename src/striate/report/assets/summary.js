// Summary.
function summary() {
  const host = $("#summary"), head = D.headline;
  host.setAttribute("aria-labelledby", "title");
  if (head) host.append(make("div", {class: "headline"},
    make("p", {class: "figure"}, (100 * head.value).toFixed(1), make("span", {class: "unit"}, " %")),
    make("div", {}, make("p", {class: "what"}, head.name), interval(head),
      note(`95 % interval ${percent(head.low)} to ${percent(head.high)} (Wilson), n = ${num(head.n)} ${D.kind}`))));
  const facts = make("dl", {class: "facts"}, D.facts.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  const side = make("div", {class: "side"});
  if (D.warnings.length) side.append(make("div", {class: "warning", role: "note"},
    h3("To keep in mind"), D.warnings.map((text) => para(text))));
  if (D.repeat) side.append(make("div", {class: "repeat"}, h3("Repeat it"), make("pre", {tabindex: 0}, D.repeat)));
  host.append(make("div", {class: "columns"}, facts, side));
  const first = [...A.mistakes].slice(0, 12);
  if (first.length) host.append(make("div", {class: "teaser"},
    h3("The most confident mistakes"),
    walkable(make("div", {class: "strip"}, first.map((id) => tile(id, 72))))));
}

/** The interval on a line from a round number to 100 %. */
function interval(head) {
  const low = max(0, floor((head.low - (1 - head.low) * 0.6) * 20) / 20);
  const at = (share) => 6 + (share - low) / (1 - low) * 268;
  const svg = draw("svg", {class: "interval", width: 280, height: 34, viewBox: "0 0 280 34", role: "img",
    "aria-label": `${percent(head.value)}, between ${percent(head.low)} and ${percent(head.high)}`});
  svg.append(draw("line", {class: "axis", x1: 6, x2: 274, y1: 12, y2: 12}),
    draw("line", {class: "reach", x1: at(head.low), x2: at(head.high), y1: 12, y2: 12}),
    draw("circle", {class: "dot", cx: at(head.value), cy: 12, r: 5}),
    draw("text", {x: 0, y: 32, class: "direct"}, percent(low, 0)), draw("text", {x: 280, y: 32, class: "end"}, "100 %"));
  return svg;
}
