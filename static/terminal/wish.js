// The order that the ticket describes: its fields as signals, what they mean in whole numbers, what is wrong with them,
// and the body of the request. Nothing is drawn and nothing is sent in this module.

import { batch, computed, signal } from "@preact/signals";
import { MONEY_DECIMALS, amount, marginMicros, notionalMicros, pnlMicros, toText, toUnits, trimZeros } from "./format.js";
import { stopTicks, tierFor, unitsFrom } from "./sizing.js";
import { ask, bid, blockade, figures, instrument, side } from "./store.js";

const LEVERAGE_FIRST = 5;

export const ORDER_TYPES = [
  ["market", "Market"],
  ["limit", "Limit"],
  ["stop", "Stop"],
  ["stopLimit", "Stop limit"],
];
export const STOP_KINDS = [
  ["stopLoss", "Stop loss"],
  ["takeProfit", "Take profit"],
];

export const orderType = signal("market");
export const quantity = signal("");
export const quantityMode = signal("units");
export const leverage = signal(String(LEVERAGE_FIRST));
export const marginMode = signal("cross");
export const limitPrice = signal("");
export const stopPrice = signal("");
export const stops = {
  stopLoss: { text: signal(""), mode: signal("price") },
  takeProfit: { text: signal(""), mode: signal("price") },
};
export const trailing = signal("");
export const slippage = signal("");
export const timeInForce = signal("gtc");
/** Local date and time of the form, for orders that end at an instant. */
export const expiresAt = signal("");
/** The server's preview of this wish; null while there is none. */
export const preview = signal(null);

const has = (price) => computed(() => price.includes(orderType.value));
export const isPending = computed(() => orderType.value !== "market");
export const hasLimit = has(["limit", "stopLimit"]);
export const hasStop = has(["stop", "stopLimit"]);

/** Empty the ticket for another instrument; leverage stays, but within its limit. */
export function wishReset() {
  batch(() => {
    quantity.value = limitPrice.value = stopPrice.value = "";
    preview.value = null;
    stopsReset();
    const { leverageMax } = instrument.value;
    if (Number(leverage.value) > leverageMax) leverage.value = String(leverageMax);
  });
}

/** Take away what belonged to one order only. */
export function stopsReset() {
  stops.stopLoss.text.value = stops.takeProfit.text.value = trailing.value = "";
}

const ticksOf = (text) => (instrument.value ? toUnits(text, instrument.value.priceDecimals) : null);

/** The price that the order would fill at, ticks: the market's or its own; null while unknown. */
export const entryTicks = computed(() => {
  if (hasLimit.value) return ticksOf(limitPrice.value);
  if (hasStop.value) return ticksOf(stopPrice.value);
  return ticksOf(side.value === "buy" ? ask.value : bid.value);
});

export const leverageNumber = computed(() => (/^\d{1,3}$/.test(leverage.value) ? Number(leverage.value) : 0));

export const units = computed(() => {
  const known = instrument.value;
  if (!known || !quantity.value.trim()) return null;
  return unitsFrom(known, {
    mode: quantityMode.value,
    text: quantity.value,
    priceTicks: entryTicks.value,
    freeMicros: figures.value?.free,
    leverage: leverageNumber.value || 1,
  });
});
export const quantityText = computed(() =>
  units.value === null ? "" : trimZeros(toText(units.value, instrument.value.quantityDecimals)),
);

/** Value, margin and spread as this page reckons them, micro-USD; the server's preview has the last word. */
export const estimate = computed(() => {
  const known = instrument.value;
  const price = entryTicks.value;
  if (!known || !units.value || units.value < 0n || !price || !leverageNumber.value) return null;
  const value = notionalMicros(known, price, units.value);
  const gap = (ticksOf(ask.value) ?? 0n) - (ticksOf(bid.value) ?? 0n);
  return {
    value,
    margin: marginMicros(value, leverageNumber.value),
    spread: isPending.value ? null : notionalMicros(known, gap, units.value),
    tier: tierFor(known, value),
  };
});

/** Stop prices in ticks (null: none or not yet readable) and what they would bring, micro-USD. */
export const stopAims = Object.fromEntries(
  STOP_KINDS.map(([kind]) => [
    kind,
    computed(() => {
      const known = instrument.value;
      const { text, mode } = stops[kind];
      if (!known || !text.value.trim()) return { ticks: null, pnl: null };
      const entry = entryTicks.value;
      const ticks = stopTicks(known, {
        kind,
        mode: mode.value,
        text: text.value,
        side: side.value,
        entryTicks: entry,
        units: units.value,
      });
      if (ticks === null || !entry || !units.value) return { ticks, pnl: null };
      const direction = side.value === "buy" ? "long" : "short";
      const pnl = pnlMicros(known, { direction, entryTicks: entry, quantityUnits: units.value }, ticks);
      return { ticks, pnl };
    }),
  ]),
);

/** "a whole number", "a price with at most 1 decimal". */
export const decimalsOf = (what, count) => (count === 0 ? `a whole ${what}` : `a ${what} with at most ${count} decimal${count === 1 ? "" : "s"}`);

function unitsWords(known, count) {
  if (count === null) return `Quantity is ${decimalsOf("number", known.quantityDecimals)}`;
  const [lowest, highest, step] = [known.quantityMin, known.quantityMax, known.quantityStep].map((text) => toUnits(text, known.quantityDecimals));
  if (count < (lowest ?? 1n)) return `The lowest quantity is ${trimZeros(known.quantityMin)} ${known.base}`;
  if (highest && count > highest) return `The highest quantity of one order is ${amount(known.quantityMax)} ${known.base}`;
  return step && count % step !== 0n ? `Quantity goes in steps of ${trimZeros(known.quantityStep)} ${known.base}` : "";
}

/** Say what is wrong with a quantity in units as text; empty if nothing is. */
export const quantityWords = (known, text) => unitsWords(known, toUnits(text, known.quantityDecimals));

function quantityFault(known) {
  const missing = { units: "a quantity", usd: "an amount in USD", percent: "a share of the free margin" };
  if (!quantity.value.trim()) return `Enter ${missing[quantityMode.value]}`;
  if (units.value === null) {
    if (quantityMode.value === "percent") return "The share is a whole number from 1 to 100";
    if (quantityMode.value === "usd") return "The amount is a number in USD";
  }
  return unitsWords(known, units.value);
}

function stopFault(known, kind, name) {
  const { text, mode } = stops[kind];
  if (!text.value.trim()) return "";
  const { ticks } = stopAims[kind].value;
  if (ticks === null) {
    if (mode.value === "money") return `${name}: an amount in USD, above 0`;
    return `${name}: ${decimalsOf(mode.value, known.priceDecimals)}`;
  }
  if (ticks <= 0n) return `${name} would lie below zero`;
  const isAbove = (kind === "takeProfit") === (side.value === "buy");
  const entry = entryTicks.value;
  const isRight = entry === null || (isAbove ? ticks > entry : ticks < entry);
  return isRight ? "" : `${name} must lie ${isAbove ? "above" : "below"} the ${isPending.value ? "order's price" : "market"}`;
}

function priceFault(known) {
  for (const [isAsked, name, text] of [[hasStop.value, "stop", stopPrice.value], [hasLimit.value, "limit", limitPrice.value]]) {
    if (isAsked && !text.trim()) return `Enter a ${name} price`;
    if (isAsked && !ticksOf(text)) return `The ${name} price is ${decimalsOf("price", known.priceDecimals)}, above 0`;
  }
  if (timeInForce.value === "gtd" && isPending.value && !(Date.parse(expiresAt.value) > Date.now())) {
    return "Choose when the order ends";
  }
  return "";
}

/** What is still wrong with the wish, in words; empty if it can be sent. The server has the last word on the rest. */
export const fault = computed(() => {
  const known = instrument.value;
  if (!known) return "Loading the instrument";
  const stop = STOP_KINDS.map(([kind, name]) => stopFault(known, kind, name)).find(Boolean);
  if (isPending.value && priceFault(known)) return priceFault(known);
  if (quantityFault(known)) return quantityFault(known);
  if (!leverageNumber.value || leverageNumber.value > known.leverageMax) {
    return `Leverage is a whole number from 1 to ${known.leverageMax}`;
  }
  if (stop) return stop;
  if (trailing.value.trim() && !ticksOf(trailing.value)) return "Trailing distance: a distance in price, above 0";
  if (slippage.value.trim() && toUnits(slippage.value, 4) === null) return "Slippage: per cent, such as 0.5";
  return "";
});

/** Why the button does nothing, in words; empty if it sends. */
export const obstacle = computed(() => blockade.value || fault.value);

const plain = (ticks) => trimZeros(toText(ticks, instrument.value.priceDecimals));

/** Return the body of the request, without the fields that are empty. */
export function wishBody() {
  const body = {
    symbol: instrument.value.symbol,
    type: side.value,
    quantity: quantityText.value,
    leverage: leverageNumber.value,
    marginMode: marginMode.value,
  };
  if (isPending.value) {
    body.orderType = orderType.value;
    body.timeInForce = timeInForce.value;
    if (timeInForce.value === "gtd") body.expiresAt = new Date(expiresAt.value).toISOString();
  } else if (slippage.value.trim()) {
    body.slippage = slippage.value.trim();
    body.expectedPrice = side.value === "buy" ? ask.value : bid.value;
  }
  if (hasLimit.value) body.price = plain(ticksOf(limitPrice.value));
  if (hasStop.value) body.stopPrice = plain(ticksOf(stopPrice.value));
  for (const [kind] of STOP_KINDS) {
    const { ticks } = stopAims[kind].value;
    if (ticks !== null) body[kind] = plain(ticks);
  }
  if (trailing.value.trim()) body.trailingDistance = plain(ticksOf(trailing.value));
  return body;
}

/** What a new order may use at most, in the words of the quantity field; the preview knows best. */
export const quantityMaxText = computed(() => (preview.value?.quantityMax ? trimZeros(preview.value.quantityMax) : ""));
export const previewMicros = (name) =>
  computed(() => {
    const text = preview.value?.[name];
    return text === null || text === undefined ? null : toUnits(text, MONEY_DECIMALS);
  });
