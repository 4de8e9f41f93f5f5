// Curves.
function curves() {
  if (!D.runs.length) return drop("curves");
  const groups = new Map();
  for (const run of D.runs) groups.set(run.name, [...(groups.get(run.name) ?? []), run]);
  const names = [...groups.keys()], seeds = max(...[...groups.values()].map((runs) => runs.length));
  const host = open("curves", D.findings.curves ?? "Training", seeds > 1
    ? `Bold: mean of ${seeds} seeds; band: from the lowest to the highest of them. Faint: as measured, not smoothed.`
    : "Bold: smoothed; faint: as measured.");
  const end = max(...D.runs.flatMap((run) => run.loss.training.slice(-1).map(([x]) => x)));
  let share = 0.01;
  const panels = [
    ["Training loss", "nats, logarithmic", (run) => run.loss?.training, true, true],
    ["Validation loss", "nats, logarithmic", (run) => run.loss?.validation, true, false],
    ["Validation error", "%, logarithmic", (run) => run.error?.validation?.map(([x, y]) => [x, 100 * y]), true, false],
    ["Learning rate", "of each step", (run) => run.rate, false, false],
  ].filter(([, , of]) => D.runs.some((run) => of(run)?.length)); // without a validation split: less
  const grid = make("div", {class: "charts"});
  const acts = panels.map(([title, unit, of, log, smoothed]) => {
    const box = make("div", {class: "chart"});
    grid.append(make("figure", {}, caption(strong(title), ` ${unit}`), box));
    const act = () => curve(box, {title, of, log, half: smoothed ? share * end : 0, faint: smoothed});
    responsive(box, act);
    return act;
  });
  const slider = make("input", {type: "range", min: 0, max: 10, step: 0.5, value: 1, oninput: () => {
    share = slider.value / 100;
    told.textContent = half();
    acts[0]();
  }});
  const half = () => share ? `half-life ${count(round(share * end), ONE)}` : "off";
  const told = make("output", {}, half());
  host.append(make("div", {class: "tools"},
    make("div", {class: "key"}, names.map((name, k) => make("span", {class: `swatch ${SERIES[k % 6]}`}, name))),
    make("label", {class: "toggle"}, "Smoothing of the training loss", slider, told)), grid, finals());

  function curve(box, {title, of, log, half, faint}) {
    const lines = names.map((name) => groups.get(name).map(of).filter((points) => points?.length));
    const all = lines.flat(2);
    if (!all.length) return;
    const ys = all.map(([, y]) => y).filter((y) => !log || y > 0).sort((a, b) => a - b);
    const low = ys[floor(ys.length * (faint ? 0.002 : 0))], high = ys[ys.length - 1];
    const y = log ? {low: low / 1.15, high: high * 1.15, log} : {low: 0, high: high * 1.05};
    const longest = max(...names.map((name) => textWidth(name)));
    const {svg, X, Y, width} = axes(box, {x: {low: 0, high: end, label: `training ${D.kind} seen`}, y, height: 260,
      right: names.length > 1 ? min(longest + 14, box.clientWidth * 0.45) : 56,
      label: `${title} against training ${D.kind} seen, ${names.join(" and ")}`});
    const lift = ([x, value]) => [x, log ? max(value, y.low) : value];
    const ends = [];
    lines.forEach((seedLines, k) => {
      const hue = SERIES[k % 6];
      if (!seedLines.length) return;
      if (faint) for (const points of seedLines) svg.append(draw("path", {class: `raw ${hue}`, d: path(points.map(lift), X, Y)}));
      const soft = seedLines.map((points) => smooth(points, half).map(lift));
      const equal = soft.every((points) => points.length === soft[0].length);
      if (soft.length > 1 && equal) {
        const edge = (pick) => soft[0].map(([x], at) => [x, pick(...soft.map((points) => points[at][1]))]);
        svg.append(draw("path", {class: `band ${hue}`, d: path([...edge(max), ...edge(min).reverse()], X, Y) + "Z"}));
      }
      const mean = equal ? soft[0].map(([x], at) => [x, soft.reduce((sum, points) => sum + points[at][1], 0) / soft.length]) : soft[0];
      svg.append(draw("path", {class: `line ${hue}`, d: path(mean, X, Y)}));
      if (mean.length < 30) mean.forEach(([x, value]) => svg.append(draw("circle", {class: `dot ${hue}`, cx: X(x), cy: Y(value), r: 2.6})));
      const last = mean[mean.length - 1];
      if (names.length > 1 || log) ends.push({at: Y(last[1]), x: X(last[0]), hue, text: names.length > 1 ? names[k] : shortNumber(last[1])});
    });
    ends.sort((a, b) => a.at - b.at);
    ends.forEach((one, k) => { if (k) one.at = max(one.at, ends[k - 1].at + 17); });
    const over = max(0, (ends[ends.length - 1]?.at ?? 0) - 214);
    for (const one of ends) svg.append(draw("text", {class: `direct ${one.hue}`, x: one.x + 8, y: one.at + 4 - over}, one.text));
  }

  function finals() {
    const last = (points) => points?.length ? points[points.length - 1][1] : NaN;
    const spread = (values, digits) => {
      const known = values.filter(Number.isFinite);
      if (!known.length) return "";
      const mean = known.reduce((a, b) => a + b, 0) / known.length;
      const off = sqrt(known.reduce((sum, x) => sum + (x - mean) ** 2, 0) / max(known.length - 1, 1));
      return mean.toFixed(digits) + (known.length > 1 ? ` ± ${off.toFixed(digits)}` : "");
    };
    const finals = (runs, of, digits) => spread(runs.map((run) => of(run)), digits);
    const columns = [
      ["Seeds", (runs) => String(runs.length)],
      ["Training loss, nats", (runs) => finals(runs, (run) => last(smooth(run.loss?.training ?? [], 0.01 * end)), 3)],
      ["Validation loss, nats", (runs) => finals(runs, (run) => last(run.loss?.validation), 3)],
      ["Validation error, %", (runs) => finals(runs, (run) => 100 * last(run.error?.validation), 2)],
    ].filter(([, of]) => [...groups.values()].some(of));
    return numbers(seeds > 1 ? "Last values: mean ± standard deviation over seeds" : "Last values",
      ["", ...columns.map(([title]) => title)],
      [...groups].map(([name, runs], k) => [make("th", {scope: "row", class: `swatch ${SERIES[k % 6]}`}, name), ...columns.map(([, of]) => of(runs))]), true);
  }
}

/** A table of numbers; a row's first cell is its name where `named`. */
function numbers(title, head, rows, named) {
  const cells = (row) => row.map((cell, k) => cell instanceof Node ? cell : make(named && !k ? "th" : "td", {}, cell));
  return make("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": title}, make("table", {class: "numbers"},
    make("caption", {}, title), make("thead", {}, make("tr", {}, head.map((name) => make("th", {scope: "col"}, name)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, cells(row))))));
}

function drop(id) {
  document.getElementById(id)?.remove();
}
