// Asks the server what the ticket's order would cost while it is being written. Old questions are given up, so an answer
// always belongs to what stands in the ticket.

import { effect } from "@preact/signals";
import { Refusal, previewGet } from "./api.js";
import { accountId } from "./store.js";
import { obstacle, preview, wishBody } from "./wish.js";

const PAUSE_MS = 250;
// Prices move: what stands there is asked again after this time.
const AGAIN_MS = 2000;

let asking = null;
let timer = 0;
let asked = "";

async function ask(body, text) {
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    const answer = await previewGet(body, mine.signal);
    if (asking !== mine) return;
    preview.value = { ...answer, of: text };
  } catch (error) {
    if (error.name === "AbortError" || asking !== mine) return;
    // A refusal of the question (a number that is none) is shown as one; without a line the page's own estimate stays.
    preview.value = error instanceof Refusal ? { isAccepted: false, refusal: error, of: text } : null;
  }
  timer = setTimeout(look, AGAIN_MS);
}

function look() {
  if (document.hidden) timer = setTimeout(look, AGAIN_MS);
  else if (asked) ask(JSON.parse(asked), asked);
}

/** Keep `preview` in step with the ticket. */
export function previewFollow() {
  effect(() => {
    const text = obstacle.value || !accountId.value ? "" : JSON.stringify(wishBody());
    // The expected price moves with every tick and decides nothing here.
    const key = text.replace(/,"expectedPrice":"[^"]*"/, "");
    if (key === asked) return;
    asked = key;
    clearTimeout(timer);
    asking?.abort();
    preview.value = null;
    if (key) timer = setTimeout(look, PAUSE_MS);
  });
}
