// A profile.
const ms = (seconds) => seconds >= 1 ? `${num(round(1000 * seconds))} ms` : `${(1000 * seconds).toFixed(seconds >= 0.1 ? 1 : 2)} ms`;
const TONES = {"data wait": "orange", copy: "ochre", augmentation: "pink", forward: "blue", backward: "green", checks: "plainly", optimiser: "sky", rest: "plainly"};
const PASSES = ["forward", "backward"];

function begin(id, heading, text) {
  const host = $(`#${id}`), head = make("h2", {tabindex: -1, id: `${id}-title`}, heading);
  host.setAttribute("aria-labelledby", head.id);
  host.append(head);
  if (text) host.append(note(text));
  return host;
}

/** A flag stays on one line. */
const unbroken = (text) => text.split(/(--[\w-]+)/).map((part, k) => k % 2 ? make("span", {class: "flag"}, part) : part);

function advice() {
  const host = $("#advice");
  host.setAttribute("aria-labelledby", "title");
  host.append(make("div", {class: "headline"},
    make("p", {class: "figure"}, D.seconds >= 1 ? D.seconds.toFixed(2) : (1000 * D.seconds).toFixed(D.seconds >= 0.1 ? 0 : 1),
      make("span", {class: "unit"}, D.seconds >= 1 ? " s" : " ms")),
    make("div", {}, make("p", {class: "what"}, "A step of training"),
      note(`Mean of ${count(D.steps, "step")}; the fastest took ${ms(D.fastest)}, the slowest ${ms(D.slowest)}`))));
  const first = make("div", {}, h3("What to change first"),
    make("ol", {class: "advice"}, D.advice.map((one) => make("li", {}, unbroken(one.line)))));
  const facts = make("dl", {class: "facts"}, D.facts.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  if (D.notes.length) first.append(make("div", {class: "warning", role: "note"}, h3("To keep in mind"), D.notes.map((text) => para(text))));
  host.append(make("div", {class: "columns"}, first, facts));
}

/** Layers as a tree by the parts of their names; what a module computes itself is no part of it. */
function tree(pass) {
  const root = {name: pass, own: 0, sum: 0, parts: new Map()};
  for (const layer of D.layers) {
    let at = root;
    if (layer.name !== "(network)") for (const part of layer.name.split(".")) {
      if (!at.parts.has(part)) at.parts.set(part, {name: at === root ? part : `${at.name}.${part}`, own: 0, sum: 0, parts: new Map()});
      at = at.parts.get(part);
    }
    at.own += layer[pass];
    at.kind = layer.kind;
  }
  const total = (node) => node.sum = node.own + [...node.parts.values()].reduce((sum, part) => sum + total(part), 0);
  total(root);
  return root;
}

const depth = (node) => 1 + max(0, ...[...node.parts.values()].map(depth));

function step() {
  const host = begin("step", D.finding, [`Above, the phases of a step as it is; below the passes, their layers, as measured in ${count(D.layerSteps, "more step")} with marks at each layer, and scaled to the pass.`, invite(" Point at a part, or tab to it.")]);
  const told = make("p", {class: "told", "aria-live": "polite"});
  const tell = (text) => () => told.textContent = text;
  const rows = [[]], trees = Object.fromEntries(PASSES.map((pass) => [pass, tree(pass)]));
  let left = 0;
  const block = (level, x, share, tone, name, text) => {
    if (share < 0.0005) return;
    (rows[level] ??= []).push(make("button", {type: "button", class: `block ${tone}`, "aria-label": text,
      onmouseenter: tell(text), onfocus: tell(text)}));
    Object.assign(rows[level].at(-1), {place: [x, share], label: name});
  };
  const unfold = (node, level, x, share, tone) => {
    let at = x;
    for (const part of [...node.parts.values()].sort((a, b) => b.sum - a.sum)) {
      const wide = share * part.sum / (node.sum || 1);
      block(level, at, wide, tone, part.name.split(".").at(-1),
        `${part.name}${part.kind ? ` (${part.kind})` : ""}: ${percent(wide)} of a step, ${ms(wide * D.seconds)} of its ${tone === "blue" ? "forward" : "backward"} pass`);
      unfold(part, level + 1, at, wide, tone);
      at += wide;
    }
  };
  for (const phase of D.phases) {
    block(0, left, phase.share, TONES[phase.name], phase.name, `${phase.name}: ${percent(phase.share)} of a step, ${ms(phase.seconds)}`);
    if (trees[phase.name]) unfold(trees[phase.name], 1, left, phase.share, TONES[phase.name]);
    left += phase.share;
  }
  const bars = make("div", {class: "icicle", role: "group", "aria-label": "A step by phase and layer"});
  for (const row of rows) {
    const line = make("div", {class: "row"}, row);
    for (const one of row) {
      one.style.left = `${100 * one.place[0]}%`;
      one.style.width = `${100 * one.place[1]}%`;
    }
    bars.append(line);
  }
  /** Write names where they fit: all are written, then measured, then those too long are taken away. */
  const write = () => {
    const all = rows.flat();
    all.forEach((one) => one.textContent = one.label);
    const long = all.map((one) => one.scrollWidth > one.clientWidth);
    all.forEach((one, k) => { if (long[k]) one.textContent = ""; });
  };
  const table = make("table", {class: "numbers"}, make("caption", {}, "The phases; what is left over is the rest"),
    make("thead", {}, make("tr", {}, ["Phase", "Time", "Share"].map((text) => make("th", {scope: "col"}, text)))),
    make("tbody", {}, D.phases.map((phase) => make("tr", {}, make("th", {scope: "row", class: `swatch ${TONES[phase.name]}`}, phase.name),
      make("td", {}, ms(phase.seconds)), make("td", {}, percent(phase.share))))));
  const longest = [...D.phases].sort((a, b) => b.share - a.share)[0];
  tell(`${longest.name}: ${percent(longest.share)} of a step, ${ms(longest.seconds)}`)();
  host.append(bars, told, make("div", {class: "scroll", tabindex: 0}, table));
  new ResizeObserver(write).observe(bars);
}

function layers() {
  const some = 24, first = D.layers[0];
  const host = begin("layers", `Of both passes ${first.name} takes ${percent(first.share, 0)}`,
    "A module's own operations, in both passes, the longest first. A rate counts the multiplications that describe counts, forward and for each gradient; a dash: it multiplies nothing.");
  const widest = first.share;
  const row = (layer) => make("tr", {}, make("th", {scope: "row"}, layer.name, make("small", {}, layer.kind)),
    make("td", {}, ms(layer.forward)), make("td", {}, ms(layer.backward)),
    make("td", {}, bar(layer, widest)), make("td", {}, percent(layer.share)),
    make("td", {}, layer.flop ? `${num(+(layer.rate / 1e9).toPrecision(3))}` : "–"),
    make("td", {}, layer.of_peak == null ? "–" : percent(layer.of_peak, 0)));
  const body = make("tbody", {}, D.layers.slice(0, some).map(row)), rest = D.layers.slice(some);
  const more = make("div", {class: "more"}, rest.length ? knob({class: "plain", onclick: () => {
    body.append(...rest.map(row));
    more.remove();
  }}, `Show ${rest.length} more`) : "");
  host.append(make("div", {class: "scroll", tabindex: 0}, make("table", {class: "numbers layertimes"},
    make("thead", {}, make("tr", {}, ["Layer", "Forward", "Backward", "Both", "Share", "GFLOP/s", "Of peak"].map((text) => make("th", {scope: "col"}, text)))),
    body)), more);
}

/** Forward and backward as one bar. */
function bar(layer, widest) {
  const svg = draw("svg", {class: "length", width: 120, height: 10, viewBox: "0 0 120 10", "aria-hidden": true});
  const both = layer.forward + layer.backward || 1, length = 120 * layer.share / widest, middle = length * layer.forward / both;
  svg.append(draw("rect", {class: "blue", x: 0, y: 0, width: middle, height: 10}),
    draw("rect", {class: "green", x: middle, y: 0, width: max(0, length - middle), height: 10}));
  return svg;
}

function machine() {
  const host = begin("machine", "The machine", "The best of several products of square matrices, with as many threads as the training has, before and after the steps.");
  host.append(make("dl", {class: "facts long"}, D.machine.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])));
}

advice();
step();
layers();
machine();
