// Answers: a card each, with its bars; and why, where it is asked for.
import {$, drawn, heat, make, percent, picture} from "./elements.js";
import {send, Trouble} from "./asking.js";

const MOST = 40;  // cards that stay
const host = $("#results"), status = $("#status"), trouble = $("#trouble");

export function say(text) { status.textContent = text; }

export function complain(text) {
  trouble.textContent = text ?? "";
  trouble.hidden = !text;
}

function bars(classes) {
  return make("ol", {class: "bars"}, classes.map(({name, probability}, at) =>
    make("li", {class: at ? "" : "first"}, make("span", {class: "name", title: name}, name),
      make("span", {class: "track", "aria-hidden": "true"}, bar(probability)),
      make("span", {class: "share"}, percent(probability)))));
}

function bar(share) {
  const node = make("i");
  node.style.width = `${100 * share}%`;
  return node;
}

async function thumbnail(file) {
  const url = URL.createObjectURL(file);
  try {
    return drawn(await picture(url), 168, file.name);
  } catch {
    return null;  // a format that this browser does not show, or no picture
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** What was given as one can hear or see it; its address lives as long as the card. */
async function given(file, kind) {
  if (kind === "pictures") return thumbnail(file);
  const url = URL.createObjectURL(file);
  if (kind === "sounds") return make("audio", {src: url, controls: true, "aria-label": `Listen to ${file.name}`});
  if (file.type.startsWith("video/")) return make("video", {src: url, controls: true, muted: true, loop: true, playsinline: true, "aria-label": file.name});
  const shown = make("img", {src: url, alt: file.name});
  return shown.decode().then(() => shown, () => null);
}

function removed(card) {
  for (const node of card.querySelectorAll("[src^='blob:']")) URL.revokeObjectURL(node.src);
  card.remove();
}

const figure = (node, ...caption) => make("figure", {}, node, make("figcaption", {}, ...caption));

function agreement({agreement, layer}) {
  if (agreement === null) return "One of the maps is flat, so they cannot be compared.";
  return `By ${layer}. Rank correlation with shuffled weights: ${agreement.toFixed(2).replace("-", "−")}.`;
}

/** Show where the network looked, and the most similar training pictures. */
async function why(found, box) {
  const seen = await picture(found.picture), best = found.classes[0].name;
  const parts = [figure(drawn(seen, 112, "as the network saw it"), "As the network saw it")];
  if (found.where) parts.push(
    figure(heat(drawn(seen, 112, `where it looked for ${best}`), found.where.map), `Where it looked for “${best}”`),
    figure(heat(drawn(seen, 112, "where shuffled weights look"), found.where.shuffled), "With weights shuffled"));
  box.replaceChildren(make("div", {class: "looks"}, parts));
  if (found.where) box.append(make("p", {class: "note"}, agreement(found.where)));
  const near = await Promise.all(found.neighbours.filter((one) => one.picture).map(async (one) =>
    figure(drawn(await picture(one.picture), 84, `training picture of ${one.label}`), one.label,
      make("small", {}, `distance ${one.distance.toPrecision(2)}`))));
  if (near.length) box.append(make("h3", {}, "Nearest training pictures"), make("div", {class: "looks"}, near));
  for (const note of found.notes) box.append(make("p", {class: "note"}, `Left out: ${note}.`));
}

function asking(file, model, box) {
  const button = make("button", {type: "button", class: "plain", onclick: async () => {
    button.disabled = true;
    button.textContent = "Looking …";
    try {
      await why(await send("explain", model, file), box);
      button.remove();
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      button.textContent = `Why? (${error.message})`;
      button.disabled = false;
    }
  }}, "Why?");
  return button;
}

/** Ask about a file and show the answer as a card, before the others or in place of `old`. */
export async function show(file, model, {name = file.name, old = null} = {}) {
  const found = await send("predict", model.name, file);
  const {classes, error} = found.predictions[0];
  $("#nothing")?.remove();
  const box = make("div", {class: "why"});
  const title = error ? "Cannot be read" : classes[0].name;
  const small = make("p", {class: "note"}, `${name} · ${found.model}, version ${found.version} · ${Math.round(found.milliseconds)} ms`);
  const card = make("article", {class: `card ${model.kind}`, "aria-label": `${name}: ${title}`},
    make("div", {class: "given"}, await given(file, error ? "pictures" : model.kind)),
    make("div", {class: "said"}, make("h3", {class: error ? "bad" : ""}, title), error ? make("p", {}, error) : bars(classes), small,
      error || !model.explained ? null : asking(file, model.name, box)), box);
  if (old?.isConnected) old.replaceWith(card);
  else host.prepend(card);
  while (host.children.length > MOST) removed(host.lastChild);
  say(error ? `${name} cannot be read: ${error}` : `${name}: ${classes.slice(0, 3).map((one) => `${one.name} ${percent(one.probability, 0)}`).join(", ")}`);
  return card;
}
