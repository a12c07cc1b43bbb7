// The order ticket: side, quantity, leverage, stops, what it will lock, and one button that says what it does.

import { computed, signal } from "@preact/signals";
import { marginMicros, money, notionalMicros, price, toText, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { ask, bid, bidMove, feed, figures, instrument, link, side, spread } from "./store.js";

const LEVERAGE_FIRST = 5;
// A first order of about this much: visible on the screen, harmless to the account.
const SUGGESTED_MICROS = 1_000_000_000n;

const quantity = signal("");
const leverage = signal(String(LEVERAGE_FIRST));
const stopLoss = signal("");
const takeProfit = signal("");
const isSending = signal(false);

const fillPrice = computed(() => (side.value === "buy" ? ask.value : bid.value));

/** Empty the ticket for another instrument; leverage stays, but within its limit. */
export function ticketReset() {
  const { leverageMax } = instrument.value;
  quantity.value = stopLoss.value = takeProfit.value = "";
  if (Number(leverage.value) > leverageMax) leverage.value = String(leverageMax);
}

/** Return a quantity worth about SUGGESTED_MICROS with one digit that counts: "0.01". */
function suggestedQuantity(known, priceTicks) {
  const perUnit = notionalMicros(known, priceTicks, 1n);
  const digits = (SUGGESTED_MICROS / (perUnit || 1n)).toString();
  const rounded = BigInt(digits[0] + "0".repeat(digits.length - 1));
  const lowest = toUnits(known.quantityMin, known.quantityDecimals) ?? 1n;
  return trimZeros(toText(rounded > lowest ? rounded : lowest, known.quantityDecimals));
}

const placeholder = computed(() => {
  const ticks = instrument.value && toUnits(fillPrice.value, instrument.value.priceDecimals);
  return ticks ? `for example ${suggestedQuantity(instrument.value, ticks)}` : "";
});

/** What stops the order from being sent, in words; empty if nothing does. The server has the last word on the rest. */
const obstacle = computed(() => {
  const known = instrument.value;
  if (!known) return "Loading the instrument";
  if (link.value.state !== "open") return "Waiting for the line to the server";
  if (!feed.value.isFed || !fillPrice.value) return "Waiting for a price";
  if (!quantity.value.trim()) return "Enter a quantity";
  const units = toUnits(quantity.value, known.quantityDecimals);
  if (units === null) return `Quantity is a number with at most ${known.quantityDecimals} decimals`;
  const lowest = toUnits(known.quantityMin, known.quantityDecimals) ?? 1n;
  if (units < lowest) return `The lowest quantity is ${trimZeros(known.quantityMin)} ${known.base}`;
  if (!/^\d+$/.test(leverage.value) || leverage.value < 1 || leverage.value > known.leverageMax) {
    return `Leverage is a whole number from 1 to ${known.leverageMax}`;
  }
  for (const [name, text] of [
    ["Stop loss", stopLoss.value],
    ["Take profit", takeProfit.value],
  ]) {
    if (text.trim() && toUnits(text, known.priceDecimals) === null) {
      return `${name} is a price with at most ${known.priceDecimals} decimals`;
    }
  }
  return "";
});

const estimate = computed(() => {
  const known = instrument.value;
  const units = known && toUnits(quantity.value, known.quantityDecimals);
  const bidTicks = known && toUnits(bid.value, known.priceDecimals);
  const askTicks = known && toUnits(ask.value, known.priceDecimals);
  if (!units || units < 0n || bidTicks === null || askTicks === null || !(leverage.value >= 1)) return null;
  const value = notionalMicros(known, side.value === "buy" ? askTicks : bidTicks, units);
  return {
    value,
    margin: marginMicros(value, Math.trunc(leverage.value)),
    spread: notionalMicros(known, askTicks - bidTicks, units),
  };
});
const estimated = (name) => computed(() => (estimate.value ? money(estimate.value[name]) : "\u2013"));
const [valueText, marginText, costText] = ["value", "margin", "spread"].map(estimated);
const freeText = computed(() => (figures.value ? money(figures.value.free) : "\u2013"));
const isBeyond = computed(() =>
  Boolean(estimate.value && figures.value && estimate.value.margin > figures.value.free),
);

const bidText = computed(() => price(bid.value));
const askText = computed(() => price(ask.value));
const spreadText = computed(() => price(spread.value));
const sellClass = computed(() => `number flash ${bidMove.value}`);
function SideButton({ name, label, text, className }) {
  return html`<button
    type="button" class="side ${name}" aria-keyshortcuts=${name[0]}
    aria-pressed=${side.value === name} onClick=${() => (side.value = name)}
  ><span>${label}</span><b class=${className}>${text}</b></button>`;
}

function Field({ id, label, value, unit, hint }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="input">
      <input
        id=${id} class="number" inputmode="decimal" autocomplete="off" placeholder=${hint} value=${value}
        onInput=${(event) => (value.value = event.target.value.replace(",", "."))}
      />
      <span aria-hidden="true">${unit}</span>
    </div>
  </div>`;
}

function Leverage({ leverageMax }) {
  const change = (event) => (leverage.value = event.target.value);
  // How much of the track lies before the thumb; through the CSSOM, which the policy allows.
  const share = `${(100 * (Math.min(leverage.value || 1, leverageMax) - 1)) / Math.max(1, leverageMax - 1)}%`;
  return html`<div class="field">
    <label for="leverage">Leverage</label>
    <div class="leverage">
      <input
        type="range" min="1" max=${leverageMax} step="1" aria-label="Leverage slider"
        value=${leverage} style=${{ "--share": share }} onInput=${change}
      />
      <div class="input">
        <input
          id="leverage" class="number" inputmode="numeric" autocomplete="off" value=${leverage} onInput=${change}
        />
        <span aria-hidden="true">×</span>
      </div>
    </div>
  </div>`;
}

export function Ticket({ onOrder }) {
  const known = instrument.value;
  if (!known) return html`<p class="empty">Loading…</p>`;
  const verb = side.value === "buy" ? "Buy" : "Sell";
  const isReady = !obstacle.value && !isSending.value;
  const submit = async (event) => {
    event.preventDefault();
    if (!isReady) return;
    isSending.value = true;
    const isDone = await onOrder({
      symbol: known.symbol,
      side: side.value,
      quantity: trimZeros(quantity.value.trim()),
      leverage: Number(leverage.value),
      stopLoss: stopLoss.value.trim(),
      takeProfit: takeProfit.value.trim(),
    });
    isSending.value = false;
    // What was traded stays in the ticket; its stops belonged to that one position.
    if (isDone) stopLoss.value = takeProfit.value = "";
  };
  return html`<form class="ticket" onSubmit=${submit} novalidate>
    <div class="panel-head"><h2>Market order</h2><span class="muted">${known.symbol}</span></div>
    <div class="sides" role="group" aria-label="Side">
      <${SideButton} name="sell" label="Sell" text=${bidText} className=${sellClass} />
      <span class="spread number" title="Spread">${spreadText}</span>
      <${SideButton} name="buy" label="Buy" text=${askText} className="number" />
    </div>
    <${Field} id="quantity" label="Quantity" value=${quantity} unit=${known.base} hint=${placeholder} />
    <${Leverage} leverageMax=${known.leverageMax} />
    <div class="pair">
      <${Field} id="stop-loss" label="Stop loss" value=${stopLoss} unit="" hint="none" />
      <${Field} id="take-profit" label="Take profit" value=${takeProfit} unit="" hint="none" />
    </div>
    <dl class="estimate">
      <div><dt>Order value</dt><dd class="number">${valueText}</dd></div>
      <div><dt>Margin needed</dt><dd class="number ${isBeyond.value ? "loss" : ""}">${marginText}</dd></div>
      <div><dt>Free margin</dt><dd class="number">${freeText}</dd></div>
      <div><dt>Spread cost</dt><dd class="number">${costText}</dd></div>
    </dl>
    <button class="button submit ${side.value}" type="submit" aria-disabled=${!isReady} aria-describedby="obstacle">
      ${isSending.value ? "Sending…" : html`${verb} ${trimZeros(quantity.value.trim())} ${known.base}`}
    </button>
    <p class="obstacle" id="obstacle">${obstacle}</p>
  </form>`;
}
