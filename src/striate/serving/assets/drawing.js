// The board: strokes by mouse, finger, pen or keyboard, white on black or black on white.
import {$, on} from "./elements.js";

const SIDE = 280, WIDTH = 22, STEP = 10, WAIT = 150;
const board = $("#board"), pen = board.getContext("2d");
let strokes = [], current = null, paper = "black", ink = "white", timer = 0, cursor = null;
let tell = () => {};

function redraw() {
  pen.fillStyle = paper;
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.strokeStyle = ink;
  pen.lineWidth = WIDTH;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.beginPath();
    pen.moveTo(...stroke[0]);
    for (const point of stroke) pen.lineTo(...point);
    pen.stroke();
  }
}

function mark() {
  if (!cursor) return;
  pen.strokeStyle = "#d55e00";
  pen.lineWidth = 2;
  pen.beginPath();
  pen.arc(...cursor, WIDTH / 2, 0, 2 * Math.PI);
  pen.stroke();
}

/** Hand the drawing on once no stroke follows. */
function changed() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!strokes.length) return tell(null);
    redraw();  // without the mark
    board.toBlob((blob) => { tell(blob); mark(); }, "image/png");
  }, WAIT);
}

function place(event) {
  const box = board.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
}

on(board, "pointerdown", (event) => {
  event.preventDefault();
  board.setPointerCapture(event.pointerId);
  cursor = null;
  strokes.push(current = [place(event)]);
  redraw();
});
on(board, "pointermove", (event) => {
  if (!current || !event.buttons) return;
  current.push(...(event.getCoalescedEvents?.() ?? []).map(place), place(event));
  redraw();
});
for (const kind of ["pointerup", "pointercancel"]) on(board, kind, () => {
  if (current) changed();
  current = null;
});

on(board, "keydown", (event) => {
  const [x, y] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0];
  if (event.key !== " " && !x && !y) return;
  event.preventDefault();
  cursor ??= [SIDE / 2, SIDE / 2];
  if (event.key === " ") {
    if (current) current = null;
    else strokes.push(current = [[...cursor]]);
    changed();
  } else {
    cursor = [cursor[0] + STEP * x, cursor[1] + STEP * y].map((at) => Math.min(Math.max(at, 0), SIDE));
    current?.push([...cursor]);
  }
  redraw();
  mark();
});
on(board, "blur", () => { current = null; });

on($("#clear"), "click", () => { strokes = []; redraw(); changed(); });
on($("#undo"), "click", () => { strokes.pop(); redraw(); changed(); });

/** Begin with an empty board of a colour; `act` is given each drawing, or null. */
export function begin(colour, act) {
  [paper, ink] = colour === "white" ? ["white", "black"] : ["black", "white"];
  tell = act;
  strokes = [];
  redraw();
}
