// The page: which network, and the ways to give it something.
import {$, count, make, on, percent, press} from "./elements.js";
import {ask, Trouble} from "./asking.js";
import {begin} from "./drawing.js";
import {complain, say, show} from "./results.js";

// What a network takes in, by the axes of its input.
const TAKES = {
  pictures: (shape) => `${shape.slice(-2).join(" × ")} pixels`,
  sounds: (shape) => `a spectrogram of ${shape.slice(-2).join(" × ")} values`,
  clips: (shape) => `${shape.length > 3 ? `${shape[1]} frames of ` : ""}${shape.slice(-2).join(" × ")} pixels`,
};
const WAYS = {drop: "Files", camera: "Camera", draw: "Draw"};
const ACCEPTED = {pictures: "image/*,.heic,.heif,.avif,.tif,.tiff", sounds: ".wav,.wave,audio/wav", clips: "video/*,image/gif,image/webp"};
let model = null, sketch = null, stream = null;

async function trying(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    complain(error.message);
    say("");
    return null;
  }
}

/** Ask about files, one after the other; those that are not answered are named together. */
async function give(files) {
  const troubles = [], asked = model;
  complain(null);
  say(`Asking about ${count(files.length, "file", "files")} …`);
  for (const file of files) try {
    await show(file, asked);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    troubles.push(`${file.name}: ${error.message}`);
    complain(troubles.join("\n"));
  }
}

const ways = Object.entries(WAYS).map(([id, name]) =>
  make("button", {type: "button", "aria-pressed": "false", "data-way": id, onclick: () => go(id)}, name));
$("#ways").append(...ways);

function go(way) {
  press(ways, ways.find((button) => button.dataset.way === way));
  for (const id of Object.keys(WAYS)) $(`#${id}`).hidden = id !== way;
  if (way === "camera") trying(film);
  else stop();
}

async function film() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
  } catch {
    throw new Trouble("The camera cannot be used: the browser or the system does not allow it.");
  }
  $("#video").srcObject = stream;
  await $("#video").play();
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
}

on($("#take"), "click", () => {
  const video = $("#video");
  if (!video.videoWidth) return;
  const canvas = make("canvas", {width: video.videoWidth, height: video.videoHeight});
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => give([new File([blob], "camera.jpg", {type: "image/jpeg"})]), "image/jpeg", 0.95);
});

on($("#choose"), "click", () => $("#files").click());
on($("#files"), "change", async () => {
  await give([...$("#files").files]);
  $("#files").value = "";
});
on(document, "paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) { event.preventDefault(); give(files); }
});

const drop = $("#drop");
on(document, "dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) on(document, kind, () => drop.classList.remove("over"));
on(document, "drop", (event) => {
  event.preventDefault();
  const files = [...event.dataTransfer.files];
  if (files.length) give(files);
});

let wanted = 0;
async function drew(blob) {
  const number = ++wanted;
  if (!blob) { sketch?.remove(); sketch = null; return; }
  complain(null);
  const card = await trying(() => show(new File([blob], "drawing.png", {type: "image/png"}), model, {name: "your drawing", old: sketch}));
  if (number === wanted) sketch = card;
  else if (card !== sketch) card?.remove();
}

function choose(found) {
  model = found;
  sketch = null;
  const {name, kind, classes, accuracy, split, shape, board} = found;
  const one = kind.replace(/s$/, ""), few = classes.length <= 12;
  document.title = `${name} – Striate`;
  $("#title").textContent = `What does ${name} see?`;
  if (kind === "sounds") $("#title").textContent = `What does ${name} hear?`;
  $("#facts").textContent = [`It tells ${kind} of ${count(classes.length, "class", "classes")} apart${few ? `: ${classes.join(", ")}` : ""}.`,
    accuracy == null ? "" : `Accuracy on its ${split} split: ${percent(accuracy)}.`, `Its input is ${TAKES[kind](shape)}.`].join(" ");
  $("#drop-text").textContent = `Drop ${kind} here`;
  $("#choose").textContent = `Choose ${kind}`;
  $("#paste-text").textContent = kind === "pictures" ? "or paste one" : kind === "sounds" ? "as WAV files" : "as animations or videos";
  $("#files").accept = ACCEPTED[kind];
  const can = {drop: true, camera: kind === "pictures" && Boolean(navigator.mediaDevices), draw: Boolean(board)};
  for (const button of ways) button.hidden = !can[button.dataset.way];
  $("#ways").hidden = Object.values(can).filter(Boolean).length < 2;
  begin(board, drew);
  go("drop");
  $("#give-title").textContent = `Give a ${one} to the network`;
}

trying(async () => {
  const {models} = await ask("/v1/models");
  const list = $("#models");
  list.append(...models.map(({name}) => make("option", {}, name)));
  on(list, "change", () => choose(models[list.selectedIndex]));
  $("#which").hidden = models.length < 2;
  $("#columns").hidden = false;
  choose(models[0]);
});
