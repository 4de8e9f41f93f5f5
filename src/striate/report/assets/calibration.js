// Calibration.
function calibration() {
  const all = D.calibration;
  if (!all) return drop("calibration");
  const host = open("calibration", D.findings.calibration,
    `${title(D.kind)} in 15 bins of confidence; on the diagonal, accuracy equals confidence. Bars: 95 % intervals (Wilson). Expected calibration error ${percent(all.ece)}, n = ${num(all.n)}.`);
  const box = make("div", {class: "chart"}), below = make("div", {class: "chart"});
  const used = all.bins.filter(Boolean);
  host.append(make("div", {class: "calibration"}, make("figure", {}, caption(strong("Accuracy"), " % of each bin"), box,
    make("figcaption", {class: "second"}, strong(`How many ${D.kind}`), " logarithmic"), below),
    numbers("The same in numbers", ["Confidence, %", "Accuracy, %", title(D.kind)],
      used.map((bin) => [(100 * bin.sure).toFixed(1), (100 * bin.right).toFixed(1), num(bin.n)]))));
  const hundred = {low: 0, high: 100, ticks: [0, 20, 40, 60, 80, 100]};
  responsive(box, () => {
    const {svg, X, Y} = axes(box, {x: {...hundred}, y: hundred, height: 340, label: "Accuracy against confidence"});
    svg.append(draw("line", {class: "ideal", x1: X(0), y1: Y(0), x2: X(100), y2: Y(100)}),
      draw("text", {class: "ideal-name", x: X(2), y: Y(5), transform: `rotate(${-atan2(Y(0) - Y(100), X(100) - X(0)) * 180 / Math.PI} ${X(2)} ${Y(5)})`}, "perfectly calibrated"));
    for (const bin of used) svg.append(draw("line", {class: "reach", x1: X(100 * bin.sure), x2: X(100 * bin.sure), y1: Y(100 * bin.low), y2: Y(100 * bin.high)}));
    svg.append(draw("path", {class: "line blue", d: path(used.map((bin) => [100 * bin.sure, 100 * bin.right]), X, Y)}));
    for (const bin of used) svg.append(draw("circle", {class: "dot", cx: X(100 * bin.sure), cy: Y(100 * bin.right), r: 5},
      draw("title", {}, `${percent(bin.sure)} sure, ${percent(bin.right)} right, ${count(bin.n, ONE)}`)));
  });
  responsive(below, () => {
    const most = max(...used.map((bin) => bin.n));
    const {svg, X, Y} = axes(below, {x: {...hundred, label: "confidence, %"}, y: {low: 0.7, high: most * 1.1, log: true, ticks: ticks(1, most, true, 3)}, height: 130, label: "How many in each bin of confidence"});
    all.bins.forEach((bin, k) => { if (bin) svg.append(draw("rect", {class: "column", x: X(100 * k / 15) + 1, width: X(100 / 15) - X(0) - 2, y: Y(bin.n), height: Y(0.7) - Y(bin.n)})); });
  });
}
