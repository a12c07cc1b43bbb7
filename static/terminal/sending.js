// How an order is let go: asked once more, by two clicks, or at once. The ticket and the quick panel of the chart share it.

import { signal } from "@preact/signals";
import { dialogOpen } from "./dialog.js";
import { price } from "./format.js";
import { html } from "./html.js";
import { orderMode } from "./prefs.js";

const DOUBLE_MS = 1200;
export const isSending = signal(false);
/** Which button waits for its second click; empty if none does. */
export const armed = signal("");

function Confirmation({ deed, body, costs, onSend, close }) {
  const rows = [
    ["Market", body.symbol],
    ["Price", body.price ?? body.stopPrice ? [body.stopPrice, body.price].filter(Boolean).map(price).join(" → ") : "market"],
    ["Leverage", `${body.leverage}× ${body.marginMode}`],
    ["Stop loss", body.stopLoss ? price(body.stopLoss) : "none"],
    ["Take profit", body.takeProfit ? price(body.takeProfit) : "none"],
    ...costs,
  ];
  const send = (event) => {
    event.preventDefault();
    close();
    onSend();
  };
  return html`<form onSubmit=${send}>
    <dl class="estimate">
      ${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="number">${value}</dd></div>`)}
    </dl>
    <div class="dialog-actions">
      <button class="button" type="button" onClick=${close}>Cancel</button>
      <button class="button submit ${body.type}" type="submit" autofocus>${deed}</button>
    </div>
  </form>`;
}

/** Send while no other order is on its way. */
export async function sendOnce(send) {
  if (isSending.value) return;
  isSending.value = true;
  try {
    await send();
  } finally {
    isSending.value = false;
  }
}

/** Let an order go as the trader wants it: `key` names the button, `deed` says what it does, `costs` are rows of the question. */
export function letGo({ key, deed, body, costs, send }) {
  if (isSending.value) return;
  const onSend = () => sendOnce(send);
  if (orderMode.value === "single" || (orderMode.value === "double" && armed.value === key)) {
    armed.value = "";
    onSend();
  } else if (orderMode.value === "double") {
    armed.value = key;
    setTimeout(() => armed.value === key && (armed.value = ""), DOUBLE_MS);
  } else {
    dialogOpen({ title: `${deed}?`, body: Confirmation, className: "narrow", props: { deed, body, costs, onSend } });
  }
}
