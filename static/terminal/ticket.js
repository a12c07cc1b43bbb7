// The order ticket: kind, side, prices, quantity, leverage, stops, what it will cost, and one button that says what it does.

import { computed, signal } from "@preact/signals";
import { amount, cost, money, price, signedMoney, toText, toUnits, trimZeros } from "./format.js";
import { Choice, Field, Unit } from "./fields.js";
import { html } from "./html.js";
import { orderMode } from "./prefs.js";
import { toldOf } from "./refusals.js";
import { armed, isSending, letGo, sendOnce } from "./sending.js";
import { SUGGESTED_MICROS, suggestedUnits } from "./sizing.js";
import { ask, bid, bidMove, figures, instrument, isSheetOpen, side, spread } from "./store.js";
import * as wish from "./wish.js";

const DASH = "\u2013";
const isMoreOpen = signal(false);

const MODES = [
  ["confirm", "Confirm"],
  ["double", "Double click"],
  ["single", "One click"],
];
const VERBS = { market: "", limit: " limit", stop: " stop", stopLimit: " stop limit" };

const placeholder = computed(() => {
  const known = instrument.value;
  const ticks = wish.entryTicks.value;
  if (!known || !ticks || wish.quantityMode.value !== "units") return wish.quantityMode.value === "usd" ? "USD" : "%";
  return `for example ${trimZeros(toText(suggestedUnits(known, ticks, SUGGESTED_MICROS), known.quantityDecimals))}`;
});

// --- sending ---------------------------------------------------------------------------------------------------------

/** Say what the button does: "Buy 0.1 BTC", "Sell limit 2 SOL". */
function deedOf(which) {
  const verb = which === "buy" ? "Buy" : "Sell";
  return `${verb}${VERBS[wish.orderType.value]} ${amount(wish.quantityText.value)} ${instrument.value.base}`;
}

async function send(onOrder) {
  if (wish.obstacle.value) return;
  // What was traded stays in the ticket; its stops belonged to that one position.
  if (await onOrder(wish.wishBody(), deedOf(side.value))) {
    wish.stopsReset();
    isSheetOpen.value = false;
  }
}

function submit(event, onOrder) {
  event.preventDefault();
  if (wish.obstacle.value) return;
  const costs = [
    ["Margin", figureText("margin")],
    ["Commission", figureText("commission")],
  ];
  letGo({ key: "ticket", deed: deedOf(side.value), body: wish.wishBody(), costs, send: () => send(onOrder) });
}

// --- parts -----------------------------------------------------------------------------------------------------------

const bidText = computed(() => price(bid.value));
const askText = computed(() => price(ask.value));
const spreadText = computed(() => price(spread.value));
const bidClass = computed(() => `number flash ${bidMove.value}`);

/** Choose a side; armed for one click, the price itself trades. */
export function sideChoose(which, onOrder) {
  side.value = which;
  if (orderMode.value === "single" && wish.orderType.value === "market" && !wish.fault.value) sendOnce(() => send(onOrder));
}

export function Sides({ onOrder }) {
  const button = (name, label, text, className) => html`<button
    type="button" class="side ${name}" aria-keyshortcuts=${name[0]} aria-pressed=${side.value === name}
    onClick=${() => sideChoose(name, onOrder)}
  ><span>${label}</span><b class=${className}>${text}</b></button>`;
  return html`<div class="sides" role="group" aria-label="Side">
    ${button("sell", "Sell", bidText, bidClass)}
    <span class="spread number" title="Spread">${spreadText}</span>
    ${button("buy", "Buy", askText, "number")}
  </div>`;
}

const SHARES = ["10", "25", "50", "75", "100"];

function Quantity() {
  const known = instrument.value;
  const meant = wish.quantityMode.value === "units" ? "" : wish.quantityText.value && `= ${amount(wish.quantityText.value)} ${known.base}`;
  const choose = (share) => {
    wish.quantityMode.value = "percent";
    wish.quantity.value = share;
  };
  const units = [
    ["units", known.base],
    ["usd", "USD"],
    ["percent", "% free"],
  ];
  return html`<div>
    <${Field} id="quantity" label="Quantity" value=${wish.quantity} hint=${placeholder} note=${meant}>
      <${Unit} label="Sized in" value=${wish.quantityMode} options=${units} />
    <//>
    <div class="shares" role="group" aria-label="Share of the free margin">
      ${SHARES.map(
        (share) => html`<button
          key=${share} type="button" onClick=${() => choose(share)}
          aria-pressed=${wish.quantityMode.value === "percent" && wish.quantity.value === share}
        >${share}%</button>`,
      )}
    </div>
  </div>`;
}

// Alone, since the estimate changes with every tick and its tier hardly ever.
const tierMax = computed(() => wish.estimate.value?.tier?.leverageMax ?? instrument.value?.leverageMax);

function Leverage() {
  const { leverageMax } = instrument.value;
  const { leverage, marginMode } = wish;
  const change = (event) => (leverage.value = event.target.value);
  // How much of the track lies before the thumb; through the CSSOM, which the policy allows.
  const share = `${(100 * (Math.min(leverage.value || 1, leverageMax) - 1)) / Math.max(1, leverageMax - 1)}%`;
  const isBeyond = Number(leverage.value) > tierMax.value;
  return html`<div class="field">
    <div class="field-head"><label for="leverage">Leverage</label>
      <span class="field-note ${isBeyond ? "loss" : ""}">up to ${tierMax}× at this size</span></div>
    <div class="leverage">
      <input
        type="range" min="1" max=${leverageMax} step="1" aria-label="Leverage slider"
        value=${leverage} style=${{ "--share": share }} onInput=${change}
      />
      <div class="input">
        <input id="leverage" class="number" inputmode="numeric" autocomplete="off" value=${leverage} onInput=${change} />
        <span aria-hidden="true">×</span>
      </div>
    </div>
    <${Choice} label="Margin mode" value=${marginMode} options=${[["cross", "Cross"], ["isolated", "Isolated"]]} />
  </div>`;
}

const STOP_MODES = [
  ["price", "Price"],
  ["distance", "Distance"],
  ["money", "USD"],
];

/** Say where a stop lies and what it would bring. */
function aimText(kind) {
  const { ticks, pnl } = wish.stopAims[kind].value;
  const parts = [];
  if (ticks !== null && wish.stops[kind].mode.value !== "price") parts.push(`at ${price(toText(ticks, instrument.value.priceDecimals))}`);
  if (pnl !== null) parts.push(`${signedMoney(pnl)} USD`);
  return parts.join(" · ");
}
const aims = Object.fromEntries(wish.STOP_KINDS.map(([kind]) => [kind, computed(() => aimText(kind))]));

function Stop({ kind, name }) {
  const { text, mode } = wish.stops[kind];
  const id = kind === "stopLoss" ? "stop-loss" : "take-profit";
  return html`<${Field} id=${id} label=${name} value=${text} hint="none" note=${aims[kind]} className="stop">
    <${Unit} label="${name} by" value=${mode} options=${STOP_MODES} />
  <//>`;
}

const TIMES = [
  ["gtc", "Until cancelled"],
  ["day", "Today (UTC)"],
  ["gtd", "Until a time"],
];

/** Bring a field into sight that has just come: it stands at the foot of a ticket that scrolls. */
const intoView = (element) => element?.scrollIntoView({ block: "nearest" });

function More() {
  const { trailing, slippage, timeInForce, expiresAt, isPending } = wish;
  return html`<details class="more" open=${isMoreOpen.value} onToggle=${(event) => (isMoreOpen.value = event.target.open)}>
    <summary>More conditions</summary>
    <div class="more-body">
      <${Field} id="trailing" label="Trailing stop, distance" value=${trailing} hint="none" unit="USD" />
      ${
        isPending.value
          ? html`<div class="field"><div class="field-head"><label for="tif">Valid</label></div>
              <div class="input"><select id="tif" value=${timeInForce} onChange=${(event) => (timeInForce.value = event.target.value)}>
                ${TIMES.map(([id, name]) => html`<option key=${id} value=${id} selected=${timeInForce.value === id}>${name}</option>`)}
              </select></div></div>
            ${
              timeInForce.value === "gtd" &&
              html`<div class="field"><div class="field-head"><label for="expires">Ends at</label></div>
                <div class="input"><input id="expires" ref=${intoView} type="datetime-local" value=${expiresAt} onInput=${(event) => (expiresAt.value = event.target.value)} /></div></div>`
            }`
          : html`<${Field} id="slippage" label="Slippage at most" value=${slippage} hint="any" unit="%" />`
      }
    </div>
  </details>`;
}

// --- figures ---------------------------------------------------------------------------------------------------------

const asMoney = (micros, show = money) => (micros === null || micros === undefined ? DASH : show(micros));

/** Show what the order costs or locks. */
function figureText(name) {
  const text = wish.preview.value?.[name];
  if (text !== null && text !== undefined) return asMoney(toUnits(text, 6), cost);
  return asMoney(wish.estimate.value?.[{ value: "value", margin: "margin", spreadCost: "spread" }[name]], cost);
}

const endOf = (shown) => shown?.liquidation ?? shown?.stopOut;
const swapText = (shown) => (shown?.swapNight ? signedMoney(toUnits(shown.swapNight, 6)) : DASH);
const isBeyond = computed(() => Boolean(figures.value && (wish.estimate.value?.margin ?? 0n) > figures.value.free));

// [name, text, class, how it is made]; what changes with the market is bound to its cell.
const ROWS = [
  ["Order value", computed(() => figureText("value")), "number", "Quantity × price."],
  ["Margin", computed(() => figureText("margin")), computed(() => `number ${isBeyond.value ? "loss" : ""}`), "Order value ÷ leverage, rounded up: locked while the position is open."],
  ["Free margin after", computed(() => asMoney(toUnits(wish.preview.value?.freeAfter, 6))), "number", "What is left for other orders."],
  ["Commission", computed(() => figureText("commission")), "number", "Charged when the order fills, and again when it is closed."],
  ["Spread cost", computed(() => figureText("spreadCost")), "number", "Quantity × (ask − bid): what closing at once would cost."],
  ["Swap per night", computed(() => swapText(wish.preview.value)), "number", "Financing of one night; positive is paid to you."],
  [
    computed(() => (wish.preview.value?.liquidation ? "Liquidation" : "Stop-out at")),
    computed(() => (endOf(wish.preview.value) ? price(endOf(wish.preview.value)) : DASH)),
    "number",
    "Where the position is closed for you if only this market moves.",
  ],
];

function Estimate() {
  return html`<dl class="estimate" aria-label="What the order would cost">
    ${ROWS.map(([name, text, className, why]) => html`<div key=${why} title=${why}><dt>${name}</dt><dd class=${className}>${text}</dd></div>`)}
  </dl>`;
}

const verdict = computed(() => {
  if (wish.obstacle.value) return ["", wish.obstacle.value];
  const shown = wish.preview.value;
  if (shown && !shown.isAccepted && shown.refusal) {
    return ["warn", toldOf(shown.refusal)];
  }
  return ["", ""];
});

function PendingPrices() {
  const name = instrument.value.symbol;
  return html`
    ${wish.hasStop.value && html`<${Field} id="stop-price" label="Stop price" value=${wish.stopPrice} hint=${bidText} unit="USD" note=${name} />`}
    ${wish.hasLimit.value && html`<${Field} id="limit-price" label="Limit price" value=${wish.limitPrice} hint=${bidText} unit="USD" note=${name} />`}
  `;
}

export function Ticket({ onOrder }) {
  const known = instrument.value;
  if (!known) return html`<p class="empty">Loading…</p>`;
  const isReady = !wish.obstacle.value && !isSending.value;
  const [tone, words] = verdict.value;
  const deed = isSending.value ? "Sending…" : armed.value === "ticket" ? "Click again to send" : deedOf(side.value);
  return html`<form class="ticket" onSubmit=${(event) => submit(event, onOrder)} novalidate>
    <div class="panel-head ticket-head">
      <h2>${known.symbol}</h2>
      ${orderMode.value === "single" && html`<span class="badge armed" title="Sell and Buy send market orders at once">One click armed</span>`}
      <label class="visually-hidden" for="order-mode">How orders are sent</label>
      <select id="order-mode" class="quiet" value=${orderMode} onChange=${(event) => (orderMode.value = event.target.value)}>
        ${MODES.map(([id, name]) => html`<option key=${id} value=${id} selected=${orderMode.value === id}>${name}</option>`)}
      </select>
    </div>
    <${Choice} label="Kind of order" className="kinds" value=${wish.orderType} options=${wish.ORDER_TYPES} />
    <${Sides} onOrder=${onOrder} />
    ${wish.isPending.value && html`<${PendingPrices} />`}
    <${Quantity} />
    <${Leverage} />
    <div class="stops">${wish.STOP_KINDS.map(([kind, name]) => html`<${Stop} key=${kind} kind=${kind} name=${name} />`)}</div>
    <${More} />
    <${Estimate} />
    <div class="submit-row">
      <button class="button submit ${side.value}" type="submit" aria-disabled=${!isReady} aria-describedby="obstacle">${deed}</button>
      <p class="obstacle ${tone}" id="obstacle" role="status">${words}</p>
    </div>
  </form>`;
}
