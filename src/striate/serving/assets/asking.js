// Requests: the token, and waiting where the server is busy.
import {$, on} from "./elements.js";

const KEY = "striate-token", TRIES = 4;
const pause = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

export class Trouble extends Error {}

/** Ask for the token, until one is given. */
function token(again) {
  const dialog = $("#ask"), field = $("#token");
  field.value = "";
  if (again) $("#ask-text").textContent = "That was not the token of this server.";
  return new Promise((done) => {
    on(dialog, "close", () => {
      sessionStorage.setItem(KEY, field.value.trim());
      done();
    }, {once: true});
    if (!dialog.open) dialog.showModal();
  });
}

async function once(path, options) {
  const known = sessionStorage.getItem(KEY);
  const headers = {...options.headers, ...(known ? {authorization: `Bearer ${known}`} : {})};
  try {
    return await fetch(path, {...options, headers});
  } catch {
    throw new Trouble("The server does not answer. Is it still running?");
  }
}

/** Send a request and read its JSON; what is wrong with it is a Trouble, in words. */
export async function ask(path, options = {}) {
  for (let tries = 1; ; tries++) {
    const answer = await once(path, options);
    if (answer.status === 401) {
      await token(sessionStorage.getItem(KEY) !== null);
      continue;
    }
    if (answer.status === 503 && tries < TRIES) {
      await pause(Number(answer.headers.get("retry-after")) || 1);
      continue;
    }
    const document = await answer.json().catch(() => ({}));
    if (answer.ok || document.predictions) return document;
    throw new Trouble(document.error ?? `The server answered with ${answer.status}.`);
  }
}

export const send = (route, model, content) =>
  ask(`/v1/${route}?model=${encodeURIComponent(model)}`, {method: "POST", body: content,
    headers: {"content-type": "application/octet-stream"}});
