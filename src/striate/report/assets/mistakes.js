// Mistakes.
const lists = {};
let showCell = () => {};

function mistakes() {
  const judged = [];
  for (let id = 0; id < P.n; id++) if (isJudged(id)) judged.push(id);
  if (!judged.length) return drop("mistakes");
  const host = open("mistakes", D.findings.mistakes, invite(`Choose a cell to see its ${D.kind}. Click one to see what the network made of it.`));
  const K = D.classes.length, table = new Int32Array(K * K);
  for (const id of judged) table[A.label[id] * K + A.predicted[id]]++;
  const heading = make("h3", {"aria-live": "polite"}), gallery = make("div", {class: "cards"}), more = make("div", {class: "more"});
  let current = [], shown = 0, look = !!A.cam;
  const views = [["Mistakes", [...A.mistakes], "the most confident first"], ["Unsure", [...A.doubts], "the least certain first"],
    ["Label in doubt", [...A.suspects], "the label, not the network, may be wrong, by confident learning; the more the network errs, the fewer of them are"]];
  const picks = choice("Which pictures", views.map(([name, ids]) => `${name} (${num(ids.length)})`), 0, (at) => {
    release();
    show(views[at][1], views[at][0] + ": " + views[at][2]);
  });
  function show(ids, text) {
    current = ids;
    shown = 0;
    heading.textContent = text;
    gallery.replaceChildren();
    extend();
  }
  function extend() {
    const part = current.slice(shown, shown + 12);
    gallery.append(...part.map((id) => card(id, look)));
    shown += part.length;
    walkable(gallery, ".card");
    more.replaceChildren(...(shown < current.length ? [knob({class: "plain", onclick: extend},
      `Show ${min(12, current.length - shown)} more of ${num(current.length)}`)] : current.length ? [] : [note("None.")]));
  }
  function release() {
    $$(".matrix [aria-pressed=true]", host).forEach((cell) => press(cell, false));
  }
  showCell = (t, p) => {
    release();
    $(`[data-cell="${t},${p}"]`, host)?.setAttribute("aria-pressed", "true");
    $$("button", picks).forEach((button) => press(button, false));
    const ids = judged.filter((id) => A.label[id] === t && A.predicted[id] === p).sort((a, b) => sureness(b) - sureness(a));
    show(ids, t === p ? `${count(ids.length, ONE)} of ${className(t)}, recognised` : `${className(t)} taken for ${className(p)}: ${count(ids.length, ONE)}`);
  };
  const tools = make("div", {class: "tools"}, picks);
  if (A.cam) tools.append(toggle("Show where it looked", true, (on) => {
    look = on;
    show(current, heading.textContent);
  }));
  const right = make("div", {class: "found"}, tools, heading, gallery, more);
  if (A.cam) right.append(note(`Orange: where the network looked for its answer (Grad-CAM), on one scale over all ${count(D.looked.n, ONE)}; beside it the same with all weights shuffled, on a scale of its own. The line encloses what reaches half of a map's own peak. Median rank correlation of the two: ${D.looked.agreement === null ? "unknown" : signed(D.looked.agreement)}; near 1 would mean that the map says nothing about training.`));
  host.append(make("div", {class: "split"}, matrix(), right));
  show(views[0][1], views[0][0] + ": " + views[0][2]);

  function matrix() {
    const off = [];
    for (let t = 0; t < K; t++) for (let p = 0; p < K; p++) if (t !== p && table[t * K + p]) off.push([table[t * K + p], t, p]);
    off.sort((a, b) => b[0] - a[0]);
    const pairs = make("ol", {class: "pairs"}, off.slice(0, K > 24 ? 20 : 5).map(([n, t, p]) => make("li", {},
      make("a", {href: `#cell=${t},${p}`}, `${className(t)} → ${className(p)}`), span(`${n}×`))));
    if (K > 24) return make("div", {class: "confusion"}, blocks(table, K), h3("Most confused"), pairs);
    const total = (t) => table.subarray(t * K, t * K + K).reduce((a, b) => a + b, 0);
    const body = D.classes.map((name, t) => make("tr", {}, make("th", {scope: "row"}, name), D.classes.map((other, p) => {
      const n = table[t * K + p], share = sqrt(n / (total(t) || 1));
      const cell = knob({"data-cell": `${t},${p}`, "aria-pressed": "false", class: t === p ? "same" : n ? "off" : "none",
        disabled: !n, "aria-label": `${count(n, ONE)} of ${name} ${t === p ? "recognised" : `taken for ${other}`}`,
        onclick: () => go(`#cell=${t},${p}`)}, n ? String(n) : "");
      if (n) cell.style.setProperty("--share", `${round(t === p ? 14 + 30 * (n / total(t)) : 18 + 82 * min(1, share * 1.6))}%`);
      if (n > 999) cell.classList.add("four");
      if (t !== p && share * 1.6 > 0.62) cell.classList.add("strong");
      return make("td", {}, cell);
    })));
    const grid = make("table", {class: "matrix"}, make("caption", {}, `n = ${count(judged.length, `${D.splits[0]} ${ONE}`)}; rows: true class, columns: predicted`),
      make("thead", {}, make("tr", {}, make("td"), D.classes.map((name) => make("th", {scope: "col"}, span(name))))), make("tbody", {}, body));
    if (D.classes.some((name) => name.length > 3)) grid.classList.add("long");
    on(grid, "keydown", (event) => {
      const [t, p] = (event.target.dataset.cell ?? "").split(",").map(Number), step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
      if (!step) return;
      event.preventDefault();
      for (let a = t + step[0], b = p + step[1]; a >= 0 && b >= 0 && a < K && b < K; a += step[0], b += step[1]) {
        const cell = $(`[data-cell="${a},${b}"]`, grid);
        if (!cell.disabled) { event.target.tabIndex = -1; cell.tabIndex = 0; return cell.focus(); }
      }
    });
    $$("button", grid).forEach((cell, at) => { cell.tabIndex = at ? -1 : 0; });
    return make("div", {class: "confusion"}, make("div", {class: "scroll"}, grid), off.length ? h3("Most confused") : "", pairs);
  }
}

function bars(id, most) {
  const rows = [];
  for (let k = 0; k < min(most, TOP); k++) {
    const which = A.top[id * TOP + k], share = A.share[id * TOP + k] / 65535;
    rows.push([which, share]);
  }
  if (A.label[id] >= 0 && !rows.some(([which]) => which === A.label[id])) rows[rows.length - 1] = [A.label[id], A.own[id] / 65535];
  return make("ul", {class: "bars"}, rows.map(([which, share]) => {
    const bar = make("i");
    bar.style.width = `${100 * share}%`;
    return make("li", {class: which === A.label[id] ? "true" : ""}, make("span", {class: "name"}, className(which)),
      make("span", {class: "track"}, bar), make("span", {class: "share"}, likely(share)));
  }));
}

function card(id, look) {
  const row = camRow.get(id), on = look && row !== undefined;
  return knob({class: "card", "data-picture": id, "aria-label": describe(id)},
    make("div", {class: A.cam ? "pair" : "pair alone"}, picture(id, 84, on ? 0 : -1), on ? picture(id, 84, 2) : ""),
    make("p", {class: "verdict"}, bold(className(A.label[id])), isWrong(id) ? [" taken for ", make("b", {class: "bad"}, className(A.predicted[id]))] : " recognised"),
    bars(id, 3));
}
