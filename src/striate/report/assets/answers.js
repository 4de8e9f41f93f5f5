// What was answered of each picture.
const className = (k) => D.classes[k] ?? "?";
/** A class's name that may be broken after its underscores, where there is little room. */
const breakable = (k) => className(k).replace(/[_-]/g, "$&\u200b");
/** The split of a picture, where there are several. */
const splitOf = (id) => D.splits.length > 1 ? {train: "training"}[D.splits[A.split[id]]] ?? D.splits[A.split[id]] : "";
const isJudged = (id) => A.split[id] === 0 && A.predicted[id] >= 0 && A.label[id] >= 0;
const isWrong = (id) => isJudged(id) && A.predicted[id] !== A.label[id];
const TOP = A.top.shape[1];
const sureness = (id) => A.share[id * TOP] / 65535;

function describe(id) {
  const name = A.label[id] < 0 ? D.files[id] ?? "" : className(A.label[id]);
  if (A.predicted[id] < 0) return `${title(ONE)} ${id}: ${name}${splitOf(id) && `, of ${splitOf(id)}`}`;
  const verdict = isWrong(id) ? `taken for ${className(A.predicted[id])}` : "recognised";
  return `${title(ONE)} ${id}: ${name}, ${verdict}, ${likely(sureness(id))} sure`;
}
