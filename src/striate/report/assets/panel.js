// The panel of one picture.
const panel = $("#panel");
let opener = null;

function showPicture(id) {
  const row = camRow.get(id), wrong = isWrong(id), judged = isJudged(id);
  const labelled = A.label[id] >= 0;
  if (panel.hidden) opener = document.activeElement;
  const heading = !labelled ? D.files[id] ?? "" : wrong ? [className(A.label[id]), " taken for ", make("span", {class: "bad"}, className(A.predicted[id]))]
    : judged ? `${className(A.label[id])}, recognised` : className(A.label[id]);
  const close = knob({class: "close", "aria-label": "Close", title: "Close (Esc)", onclick: closePanel}, "×");
  const parts = [make("header", {}, make("div", {}, make("h2", {id: "panel-title", tabindex: -1}, heading),
    note([D.files[id], splitOf(id) && `of ${splitOf(id)}`].filter(Boolean).join(" · "))), close)];
  const big = make("div", {class: "big"}, picture(id, 232)), native = make("div", {});
  const facts = [labelled && [judged ? "True" : "Class", className(A.label[id])], judged && ["Predicted", className(A.predicted[id])],
    judged && ["Confidence", percent(sureness(id))]].filter(Boolean);
  parts.push(make("div", {class: "first"}, big, make("div", {}, make("dl", {}, facts.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])), native)));
  if (row !== undefined) {
    const names = wrong ? [["For “" + breakable(A.predicted[id]) + "”", 0], ["For “" + breakable(A.label[id]) + "”", 1], ["Weights shuffled", 2]]
      : [["For “" + breakable(A.predicted[id]) + "”", 0], ["Weights shuffled", 2]];
    const views = [knob({"aria-pressed": "true"}, picture(id, 68), span("Picture")),
      ...names.map(([name, look]) => knob({"aria-pressed": "false", "data-look": look}, picture(id, 68, look), span(name)))];
    views.forEach((view) => on(view, "click", () => {
      views.forEach((other) => press(other, other === view));
      const look = +(view.dataset.look ?? -1);
      big.replaceChildren(picture(id, 232, look));
      native.replaceChildren(...(look >= 0 ? [corner(row, look), note(`${A.cam.shape[3]}×${A.cam.shape[2]} values`)] : []));
    }));
    parts.push(h3("Where it looked"), walkable(make("div", {class: "looks", role: "group", "aria-label": "Where it looked"}, views)),
      note(Number.isFinite(A.cam_agreement[row]) ? `Rank correlation with the shuffled network: ${signed(A.cam_agreement[row])}.`
        : "One of the maps is empty, so they cannot be compared."));
  }
  if (judged) parts.push(h3("Probabilities"), bars(id, 5));
  const near = A.neighbours ? [...A.neighbours.subarray(3 * id, 3 * id + 3)].filter((other) => other >= 0) : [];
  if (near.length) parts.push(h3(`Nearest ${D.near} ${D.kind}`.replace("  ", " ")), walkable(make("div", {class: "near"}, near.map((other, k) => tile(other, 96,
    span(A.label[other] < 0 ? "" : breakable(A.label[other])), A.distances ? make("small", {}, `distance ${A.distances[3 * id + k].toPrecision(2)}`) : "")))));
  const foot = make("footer", {});
  if (showOnMap?.has(id)) foot.append(knob({class: "main", onclick: () => {
    if (innerWidth < 900) closePanel();
    showOnMap(id);
  }}, "Show on the map"));
  if (judged) foot.append(make("a", {class: "plain", href: `#cell=${A.label[id]},${A.predicted[id]}`}, wrong ? "All such mistakes" : `All ${className(A.label[id])} recognised`));
  parts.push(foot);
  panel.replaceChildren(...parts);
  panel.hidden = false;
  panel.scrollTop = 0;
  $("#panel-title").focus({preventScroll: true});
}

/** The map at its own resolution, so that nobody takes it for a sharp one. */
function corner(row, look) {
  const [map, high, wide] = looked(row, look), [tall, broad] = D.looked.frame;
  const canvas = raster(wide, high, (i) => [255, 122, 0, map[i] * 0.8], {class: "crisp corner"});
  canvas.style.aspectRatio = `${broad} / ${tall}`;
  return canvas;
}

function closePanel() {
  if (panel.hidden) return;
  panel.hidden = true;
  if (/picture=/.test(location.hash)) history.pushState(null, "", "#");
  opener?.focus?.({preventScroll: true});
}
