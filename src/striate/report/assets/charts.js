// Charts.
const SERIES = ["blue", "orange", "green", "pink", "ochre", "sky"];

function ticks(low, high, log, most = 6) {
  if (log) {
    const all = [];
    for (let power = floor(log10(low)); power <= ceil(log10(high)); power++)
      for (const digit of [1, 2, 5]) all.push(digit * 10 ** power);
    const inside = all.filter((x) => x >= low * 0.999 && x <= high * 1.001);
    if (inside.length < 3) return ticks(low, high, false, 5);
    return inside.length > most ? inside.filter((x) => /^1|^0\.0*1/.test(String(x))) : inside;
  }
  const raw = (high - low) / most, power = 10 ** floor(log10(raw));
  const step = [1, 2, 5, 10].find((digit) => digit * power >= raw) * power;
  const all = [];
  for (let x = ceil(low / step) * step; x <= high + step / 1e6; x += step) all.push(+x.toPrecision(12));
  return all;
}

const ruler = make("canvas").getContext("2d");
function textWidth(text, font = "650 13px") {
  ruler.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}
const shortNumber = (x) => x >= 1000 ? `${+(x / 1000).toPrecision(3)}k` : String(+x.toPrecision(3));

/** Draw axes into a host; gives the group for marks and the two scales. */
function axes(host, {x, y, height, right = 14, label}) {
  const marks = (y.ticks ?? ticks(y.low, y.high, y.log, 7)).map((value) => [value, (y.format ?? shortNumber)(value)]);
  const left = max(36, ...marks.map(([, text]) => textWidth(text, "400 13px") + 12));
  const width = max(host.clientWidth, 240), bottom = x.label ? 42 : 24, top = 10;
  const scale = (axis, from, to) => {
    const f = axis.log ? log : (value) => value, low = f(axis.low), high = f(axis.high);
    return (value) => from + (f(value) - low) / (high - low || 1) * (to - from);
  };
  const X = scale(x, left, width - right), Y = scale(y, height - bottom, top);
  const svg = draw("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label});
  for (const [value, text] of marks)
    svg.append(draw("line", {class: "grid", x1: left, x2: width - right, y1: Y(value), y2: Y(value)}),
      draw("text", {x: left - 8, y: Y(value) + 4, class: "end"}, text));
  svg.append(draw("line", {class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom}));
  for (const value of x.ticks ?? ticks(x.low, x.high, x.log, width > 420 ? 6 : 4))
    svg.append(draw("text", {x: X(value), y: height - bottom + 18}, (x.format ?? shortNumber)(value)));
  if (x.label) svg.append(draw("text", {class: "name", x: (left + width - right) / 2, y: height - 4}, x.label));
  host.replaceChildren(svg);
  return {svg, X, Y, width};
}

/** Draw now, and again whenever the host's width changes. */
function responsive(host, act) {
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth === width || !host.clientWidth) return;
    width = host.clientWidth;
    act();
  }).observe(host);
}

const path = (points, X, Y) => points.map(([x, y], at) => `${at ? "L" : "M"}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`).join("");

/** A mean weighted by 0.5 to the distance in half-lives, to both sides: no lag, no bias at the ends. */
function smooth(points, half) {
  if (!half || points.length < 3) return points;
  const sums = new Float64Array(points.length), weights = new Float64Array(points.length);
  for (const step of [1, -1]) {
    let sum = 0, weight = 0;
    for (let k = 0, i = step > 0 ? 0 : points.length - 1; k < points.length; k++, i += step) {
      if (k) {
        const keep = 0.5 ** (abs(points[i][0] - points[i - step][0]) / half);
        sum *= keep;
        weight *= keep;
      }
      sums[i] += sum;
      weights[i] += weight;
      sum += points[i][1];
      weight++;
    }
  }
  return points.map(([x, y], i) => [x, (sums[i] + y) / (weights[i] + 1)]);
}
