// Several settings beside each other.
const hue = (k) => SERIES[k % 6];
const named = (k) => make("th", {scope: "row", class: `swatch ${hue(k)}`}, D.settings[k]);

function standings() {
  const host = $("#standings"), [head, ...rows] = D.results;
  host.setAttribute("aria-labelledby", "title");
  if (D.sentences.length) host.append(make("div", {class: "sentences"}, D.sentences.map((text) => para(text))));
  if (D.warnings.length) host.append(make("div", {class: "warning", role: "note"},
    h3("To keep in mind"), D.warnings.map((text) => para(text))));
  host.append(numbers(head[1] === "runs" ? "Mean ± standard deviation over the runs of a setting: accuracy, and what else differs"
    : "Accuracy, and what else differs", head, rows.map(([, ...cells], k) => [named(k), ...cells]), true));
}

function choices() {
  if (!D.choices.length) {
    open("choices", "The recipes are the same", "Every choice but the seed is equal.");
    return;
  }
  const host = open("choices", `The recipes differ in ${count(D.choices.length, "choice")}`,
    "A dash: not given, or of no meaning there. Every other choice but the seed is equal.");
  host.append(numbers("Choices that differ", ["", ...D.settings], D.choices, true));
}

function answers() {
  const pairs = D.pairs.filter((pair) => pair.matches.length);
  if (!pairs.length) return drop("answers");
  const host = open("answers", pairs.length === 1 ? pairs[0].finding : `Who is right where ${D.settings[0]} is wrong`,
    "The same pictures, matched by name and content. Of McNemar's exact test, p is the probability of so uneven a split, were both as good.");
  pairs.forEach((pair) => host.append(contest(pair, pairs.length > 1)));
}

function contest(pair, several) {
  const box = make("div", {class: "contest"});
  if (several) box.append(h3(pair.finding));
  if (pair.lines.length) box.append(note(pair.lines.join("; ") + "."));
  const many = pair.matches.length > 1;
  box.append(numbers("Pictures by who is right", [...(many ? ["Seed"] : []), "Both", `${pair.first} alone`, `${pair.second} alone`, "Neither", "Test"],
    pair.matches.map((one) => [...(many ? [String(one.seed)] : []), num(one.both), num(one.first), num(one.second), num(one.neither), one.p]), many));
  const sides = [pair.first, pair.second], shown = pair.matches[0];
  box.append(make("div", {class: "beside"}, sides.map((name, side) => make("div", {},
    h3(`${name} alone is right`), note(told(pair.alone[side].length, [shown.first, shown.second][side], sides[1 - side], many && shown.seed)),
    P.n ? gallery(pair.alone[side].map((id) => disagreement(id, side, sides))) : ""))));
  return box;
}

/** Some pictures, and a button for the rest. */
function gallery(cards) {
  const box = make("div", {class: "cards"}, cards.slice(0, 8)), rest = cards.slice(8);
  const more = make("div", {class: "more"}, rest.length ? knob({class: "plain", onclick: () => {
    box.append(...rest);
    more.remove();
  }}, `Show ${rest.length} more`) : "");
  return make("div", {}, box, more);
}

function told(some, all, other, seed) {
  if (!all) return "No picture.";
  const which = some < all ? `${num(some)} of ${count(all, "picture")}` : count(all, "picture");
  return `${which}, those first of which ${other} is surest${seed === false ? "" : `; seed ${seed}`}.`;
}

function disagreement(id, side, names) {
  const one = D.pictured[id], said = ([name, share]) => `${name} ${percent(share, 0)}`;
  return make("figure", {class: "card", title: one.file}, make("div", {class: "pair"}, picture(id, 84)),
    make("p", {class: "verdict"}, bold(one.true), make("br"), `${names[1 - side]}: `, make("span", {class: "bad"}, said(one.answers[1 - side])),
      make("br"), `${names[side]}: ${said(one.answers[side])}`));
}

function layers() {
  if (!D.filters.length) return drop("filters");
  const coloured = D.filters.some(({shape}) => shape[1] === 3);
  const host = open("filters", "The first layers' filters", `${howToRead(coloured ? 3 : 1)} Of several runs of a setting, those of the first.`);
  const drawn = D.filters.map((one) => filterGrid(one, A[one.array]));
  host.append(make("div", {class: "tools"}, scaleChoice(drawn)), make("div", {class: "beside"}, D.filters.map((one, k) => make("div", {},
    make("h3", {class: `swatch ${hue(D.settings.indexOf(one.name))}`}, one.name), note(one.said), drawn[k].grid))));
}

standings();
curves();
choices();
answers();
layers();
