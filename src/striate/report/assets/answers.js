// What was answered of each picture.
const className = (k) => D.classes[k] ?? "?";
const isJudged = (id) => A.test[id] && A.predicted[id] >= 0 && A.label[id] >= 0;
const isWrong = (id) => isJudged(id) && A.predicted[id] !== A.label[id];
const TOP = A.top.shape[1];
const sureness = (id) => A.share[id * TOP] / 65535;

function describe(id) {
  const name = A.label[id] < 0 ? "unlabelled" : className(A.label[id]);
  if (A.predicted[id] < 0) return `Picture ${id}: ${name}${A.test[id] ? "" : ", of training"}`;
  const verdict = isWrong(id) ? `taken for ${className(A.predicted[id])}` : "recognised";
  return `Picture ${id}: ${name}, ${verdict}, ${percent(sureness(id), 0)} sure`;
}
