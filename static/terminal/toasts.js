// Short messages at the edge of the screen: what was done, and every refusal in the words of the server.

import { signal } from "@preact/signals";
import { html } from "./html.js";
import { ring } from "./sound.js";

const LIFE_MS = { good: 5000, info: 6000, bad: 12_000 };
const SHOWN_MAX = 4;
const toasts = signal([]);
let count = 0;

const dismiss = (id) => (toasts.value = toasts.value.filter((toast) => toast.id !== id));

/** Bring the messages before an open dialog: it covers all that came to the top layer before it. */
function raise() {
  if (!document.querySelector("dialog:modal")) return;
  const layer = document.getElementById("toasts");
  layer.hidePopover();
  layer.showPopover();
}

/** Show a message; `tone` is good, info or bad. */
export function toast(tone, title, text = "") {
  const id = ++count;
  toasts.value = [...toasts.value.slice(1 - SHOWN_MAX), { id, tone, title, text }];
  setTimeout(() => dismiss(id), LIFE_MS[tone]);
  ring(tone);
  raise();
}

const SIGNS = { good: "✓", info: "i", bad: "!" };

export function Toasts() {
  return html`<div aria-live="polite" role="status">
    ${toasts.value.map(
      ({ id, tone, title, text }) => html`<div key=${id} class="toast ${tone}">
        <span class="toast-sign" aria-hidden="true">${SIGNS[tone]}</span>
        <div class="toast-words"><strong>${title}</strong>${text && html`<p>${text}</p>`}</div>
        <button class="toast-close" type="button" aria-label="Dismiss" onClick=${() => dismiss(id)}>×</button>
      </div>`,
    )}
  </div>`;
}
