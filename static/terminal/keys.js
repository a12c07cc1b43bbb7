// The keyboard: one letter does one thing, never while somebody types.

import { dialogOpen, isDialogOpen } from "./dialog.js";
import { html } from "./html.js";

const HELP = [
  ["/", "Search markets"],
  ["B, S", "Buy side, sell side"],
  ["N", "New order: to the quantity"],
  ["Enter", "Send the order that stands in the ticket"],
  ["1 – 9", "Interval of the chart, from one minute to one month"],
  ["Esc", "Leave a field, close a dialog, drop a dragged line"],
  ["?", "This help"],
];

function KeysHelp() {
  return html`<dl class="keys">
    ${HELP.map(([key, text]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}
    <p class="muted">Tab walks through everything; arrow keys walk through the markets.</p>
  </dl>`;
}

export const keysHelp = () => dialogOpen({ title: "Keyboard", body: KeysHelp, className: "narrow" });

/** Listen for keys: `actions` maps a key to what it does. */
export function keysListen(actions) {
  document.addEventListener("keydown", (event) => {
    if (isDialogOpen()) return;
    if (event.key === "Escape") {
      event.target.blur?.();
      for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
      return;
    }
    const isTyping = event.target.closest("input:not([type=checkbox], [type=range]), textarea, select");
    const action = actions[event.key.toLowerCase()];
    if (!action || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}
