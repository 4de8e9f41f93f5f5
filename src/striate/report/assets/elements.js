// Elements.
const $ = (query, root = document) => root.querySelector(query);
const $$ = (query, root = document) => [...root.querySelectorAll(query)];

const on = (node, ...rest) => node.addEventListener(...rest);
function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) on(node, name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}
const make = (kind, props = {}, ...children) => fill(document.createElement(kind), props, children);
const knob = (props, ...children) => make("button", {type: "button", ...props}, ...children);
const plainly = (kind, props = {}) => (...children) => make(kind, props, ...children);
const [note, h3, span, strong, bold, para, caption] = [plainly("p", {class: "note"}),
  ...["h3", "span", "strong", "b", "p", "figcaption"].map((kind) => plainly(kind))];
/** What a reader may do on a screen; paper leaves it out. */
const invite = plainly("span", {class: "invite"});
const draw = (kind, props = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", kind), props, children);

const {abs, atan2, ceil, floor, hypot, log, log10, log2, max, min, round, sqrt} = Math;
const num = (n) => n.toLocaleString("en");
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;
/** A probability: with a decimal where whole numbers would round it to all or nothing. */
const likely = (share) => percent(share, share > 0.0995 && share < 0.995 ? 0 : 1);
const signed = (x, digits = 2) => x.toFixed(digits).replace("-", "−");
const count = (n, one, many = one + "s") => `${num(n)} ${n === 1 ? one : many}`;
const clamp = (x, low, high) => min(max(x, low), high);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const darkened = matchMedia("(prefers-color-scheme: dark)");
const paper = () => document.documentElement.classList.contains("paper");
const isDark = () => darkened.matches && !paper();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
