// Confusions of many classes, as blocks.
const DRAWN = 560; // pixels of the matrix, about

/** The matrix with classes that are confused side by side; `table` is K by K, a row a true class. */
function blocks(table, K) {
  const order = D.order, step = ceil(K / DRAWN), across = ceil(K / step), cell = max(1, floor(DRAWN / across));
  const totals = Array.from({length: K}, (_, t) => table.subarray(t * K, t * K + K).reduce((a, b) => a + b, 0));
  const told = make("p", {class: "note", "aria-live": "polite"}, invite(`Point at a dot to see which classes it is of; click it to see its ${D.kind}.`));
  const box = make("div", {class: "blocks"});
  let alone = true, canvas;
  /** Of a drawn cell, which stands for several where there are very many: the most frequent pair. */
  function pair(row, column) {
    let best = [0, 0, 0];
    for (let a = row * step; a < min(K, row * step + step); a++) for (let b = column * step; b < min(K, column * step + step); b++) {
      const [t, p] = [order[a], order[b]], n = table[t * K + p];
      if (n > best[0] && !(alone && t === p)) best = [n, t, p];
    }
    return best;
  }
  function paint() {
    const [page, right, wrong] = ["page", "faint", "orange"].map((name) => rgb(colour(name)));
    const cells = Array.from({length: across * across}, (_, at) => {
      const [n, t, p] = pair(floor(at / across), at % across);
      const share = n ? t === p ? 0.2 + 0.5 * n / totals[t] : 0.3 + 0.7 * min(1, 2 * sqrt(n / totals[t])) : 0;
      return page.map((x, k) => x + ((t === p ? right : wrong)[k] - x) * share).concat(255);
    });
    canvas = raster(across, across, (i) => cells[i], {class: "crisp", role: "img",
      "aria-label": `Confusions of ${K} classes; the most frequent are listed below`});
    canvas.style.width = canvas.style.height = `${across * cell}px`;
    on(canvas, "pointermove", (event) => {
      const found = near(event);
      canvas.style.cursor = found ? "pointer" : "default";
      if (found) told.textContent = found[1] === found[2] ? `${className(found[1])}: ${num(found[0])} of ${num(totals[found[1]])} recognised`
        : `${className(found[1])} taken for ${className(found[2])}: ${num(found[0])} of ${num(totals[found[1]])}`;
    });
    on(canvas, "click", (event) => {
      const found = near(event);
      if (found) go(`#cell=${found[1]},${found[2]}`);
    });
    box.replaceChildren(canvas);
  }
  /** The cell under the pointer, or the most frequent pair within four pixels. */
  function near(event) {
    const {width} = canvas.getBoundingClientRect(), unit = width / across, reach = ceil(4 / unit) - 1;
    const [column, row] = [event.offsetX, event.offsetY].map((at) => clamp(floor(at / unit), 0, across - 1));
    let best = pair(row, column);
    for (let r = max(0, row - reach); !best[0] && r <= min(across - 1, row + reach); r++)
      for (let c = max(0, column - reach); c <= min(across - 1, column + reach); c++) {
        const found = pair(r, c);
        if (found[0] > best[0]) best = found;
      }
    return best[0] ? best : null;
  }
  paint();
  redraws.push(paint);
  return make("div", {}, make("div", {class: "tools"}, toggle("Errors alone", true, (on) => { alone = on; paint(); })), box, told,
    note(`${num(K)} classes in an order in which those that are taken for each other stand together; rows: true class, columns: predicted.${step > 1 ? ` A dot stands for ${step}×${step} pairs, by the most frequent.` : ""}`));
}
