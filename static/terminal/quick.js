// The panel over the chart: SELL, a quantity, BUY. Market orders only, with the leverage and the margin mode of the ticket.

import { computed, signal } from "@preact/signals";
import { typed } from "./fields.js";
import { amount, cost, marginMicros, notionalMicros, price, toText, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { orderMode } from "./prefs.js";
import { armed, isSending, letGo } from "./sending.js";
import { SUGGESTED_MICROS, suggestedUnits } from "./sizing.js";
import { ask, bid, blockade, instrument, symbol } from "./store.js";
import { toast } from "./toasts.js";
import { leverageNumber, marginMode, quantityWords } from "./wish.js";

// Symbol -> what was typed for it; a quantity of one market means nothing in another.
const chosen = signal({});

const ticksOf = (text) => toUnits(text, instrument.value.priceDecimals);
const isPriced = computed(() => Boolean(instrument.value && bid.value));
// Suggested by the first price and then left alone: a quantity that changes under the hand would be a trap.
const suggested = computed(() => {
  if (!isPriced.value) return "";
  const known = instrument.value;
  return trimZeros(toText(suggestedUnits(known, ticksOf(bid.peek()), SUGGESTED_MICROS), known.quantityDecimals));
});
const quantity = computed(() => chosen.value[symbol.value] ?? suggested.value);

const obstacle = computed(() => {
  if (blockade.value) return blockade.value;
  const words = quantityWords(instrument.value, quantity.value);
  if (words) return words;
  const { leverageMax } = instrument.value;
  return leverageNumber.value && leverageNumber.value <= leverageMax ? "" : `Leverage is a whole number from 1 to ${leverageMax}`;
});

function trade(side, onOrder) {
  if (obstacle.value) return toast("info", "No order was sent", obstacle.value);
  const known = instrument.value;
  const units = toUnits(quantity.value, known.quantityDecimals);
  const body = {
    symbol: known.symbol,
    type: side,
    quantity: trimZeros(quantity.value.trim()),
    leverage: leverageNumber.value,
    marginMode: marginMode.value,
  };
  const value = notionalMicros(known, ticksOf(side === "buy" ? ask.value : bid.value), units);
  const deed = `${side === "buy" ? "Buy" : "Sell"} ${amount(body.quantity)} ${known.base}`;
  letGo({
    key: `quick ${side}`,
    deed,
    body,
    costs: [
      ["Order value", cost(value)],
      ["Margin", cost(marginMicros(value, leverageNumber.value))],
    ],
    send: () => onOrder(body, deed),
  });
}

const bidText = computed(() => price(bid.value));
const askText = computed(() => price(ask.value));
const isReady = computed(() => !obstacle.value && !isSending.value);

function Side({ side, name, text, onOrder }) {
  const words = armed.value === `quick ${side}` ? "Again" : name;
  return html`<button type="button" class="quick-side ${side}" aria-disabled=${!isReady.value} title=${obstacle} onClick=${() => trade(side, onOrder)}>
    <span>${words}</span><b class="number">${text}</b></button>`;
}

export function Quick({ onOrder }) {
  if (!instrument.value) return null;
  const isOneClick = orderMode.value === "single";
  return html`<div class="quick-panel ${isOneClick ? "armed" : ""}" role="group" aria-label="Trade at the market">
    <${Side} side="sell" name="Sell" text=${bidText} onOrder=${onOrder} />
    <div class="quick-middle">
      <input id="quick-quantity" class="number" inputmode="decimal" autocomplete="off" aria-label="Quantity of the quick order" title="${instrument.value.base}, at ${leverageNumber.value}× ${marginMode.value}"
        value=${quantity} onInput=${(event) => (chosen.value = { ...chosen.value, [symbol.value]: typed(event) })} />
      <button type="button" class="quick-mode" aria-pressed=${isOneClick} title="One click: Sell and Buy send at once" onClick=${() => (orderMode.value = isOneClick ? "confirm" : "single")}>1-click</button>
    </div>
    <${Side} side="buy" name="Buy" text=${askText} onOrder=${onOrder} />
  </div>`;
}
