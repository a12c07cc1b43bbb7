// What the terminal knows, as signals, and the only functions that change it. Components read; they never write here
// directly. Nothing is fetched and nothing is drawn in this module.

import { batch, computed, signal } from "@preact/signals";
import { MONEY_DECIMALS, pnlMicros, toText, toUnits } from "./format.js";
import { Tints } from "./pace.js";

/** Symbol -> instrument, in the order of lists. */
export const instruments = signal(new Map());
/** The symbol on the chart and in the ticket. */
export const symbol = signal("");
export const instrument = computed(() => instruments.value.get(symbol.value));
/** Take in which instruments cannot be traded as usual ({symbol: mode}); all else about them stays as it is while a page is open. */
export function modesApply(modes) {
  const changed = [...instruments.peek().values()].filter(({ symbol: name, status }) => status !== (modes[name] ?? "open"));
  if (!changed.length) return;
  const now = new Map(instruments.peek());
  for (const { symbol: name } of changed) now.set(name, { ...now.get(name), status: modes[name] ?? "open" });
  instruments.value = now;
}
/** Which side the ticket stands on: "buy" or "sell". */
export const side = signal("buy");
/** Which part a narrow screen shows: "markets", "trade", "positions" or "account". */
export const view = signal("trade");
/** Whether the ticket of a narrow screen is drawn up. */
export const isSheetOpen = signal(false);

/** The user's accounts, and which of them is looked at (its id; 0 before the first answer). */
export const accounts = signal([]);
export const accountId = signal(0);
export const account = computed(() => accounts.value.find(({ id }) => id === accountId.value));
export const positions = signal([]);
export const orders = signal([]);
export const closed = signal([]);
/** Whether there are closings older than those. */
export const isClosedMore = signal(false);
/** Entries of the ledger, newest first; null before somebody has asked for them. */
export const ledger = signal(null);
/** Where the ledger goes on behind its oldest entry here; null: nowhere. */
export const ledgerNext = signal(null);
/** Settled money, micro-USD; null until the first answer. */
export const balance = signal(null);
/** Where the margin call comes and where positions are closed: hundredths of a per cent; null until the first answer. */
export const levels = signal(null);

/** The line to the server: state is "connecting", "open", "silent" or "waiting"; latency in milliseconds. */
export const link = signal({ state: "connecting", latencyMs: null });
/** The prices' origin: class is "live", "replay", "simulated" or "" before the first word of it. */
export const feed = signal({ name: "", sourceClass: "", isFed: true, ageMs: null });
/** Counts half seconds; whoever judges the age of a price reads it. */
export const heartbeat = signal(0);
const tints = new Tints();
setInterval(() => {
  batch(() => {
    tints.fade(performance.now());
    heartbeat.value += 1;
  });
}, 500);

/** Take in the server's word on its feed. The source that serves most instruments gives the badge its name. */
export function feedApply({ feed: name, available, sources, ageMs }) {
  const main = sources.find((source) => source.name === name);
  feed.value = {
    name: name ?? "",
    sourceClass: main?.sourceClass ?? "",
    isFed: available === true || available === "true",
    ageMs: ageMs === null || ageMs === undefined ? null : Number(ageMs),
  };
}

const quotes = new Map();

/** Return the cell of one symbol's prices. It exists before its first price, so that rows can bind to it. */
export function quoteOf(name) {
  let quote = quotes.get(name);
  if (!quote) {
    // `move` names the last change of the bid (pace.js).
    quote = { bid: signal(""), ask: signal(""), move: signal(""), tintedAt: -Infinity, heardAt: 0 };
    quotes.set(name, quote);
  }
  return quote;
}

/** The prices of the instrument on the screen: text as the server wrote it, empty before the first. */
export const bid = computed(() => quoteOf(symbol.value).bid.value);
export const ask = computed(() => quoteOf(symbol.value).ask.value);
export const bidMove = computed(() => quoteOf(symbol.value).move.value);
export const spread = computed(() => {
  const decimals = instrument.value?.priceDecimals;
  if (decimals === undefined || !bid.value) return "";
  return toText(toUnits(ask.value, decimals) - toUnits(bid.value, decimals), decimals);
});

// Quiet instruments are confirmed each second; one more allows for the way here.
const WAY_MS = 1500;

/** Whether the price on the screen is too old to trade on. */
export const isStale = computed(() => {
  const _beat = heartbeat.value;
  const known = instrument.value;
  const { heardAt } = quoteOf(symbol.value);
  return Boolean(known && heardAt && performance.now() - heardAt > known.quoteAgeMs + WAY_MS);
});

/** Why no order can be sent now, in words; empty if nothing is in the way. */
export const blockade = computed(() => {
  if (!instrument.value) return "Loading the instrument";
  if (link.value.state !== "open") return "Waiting for the line to the server";
  if (!feed.value.isFed) return "Trading is paused: no prices are coming in";
  if (!bid.value) return "Waiting for a price";
  if (isStale.value) return `Trading is paused: the price of ${symbol.value} is too old`;
  if (instrument.value.status === "halted") return `Trading in ${symbol.value} is halted`;
  if (instrument.value.status === "close_only") return `${symbol.value} may only be closed`;
  return "";
});

// Symbol -> which half of the lists it belongs to.
const halves = computed(() => new Map([...instruments.value.keys()].map((name, place) => [name, 1 + (place % 2)])));
const heldSymbols = computed(() => new Set(positions.value.map((row) => row.symbol)));

/** Return the lane (pace.js) of a symbol: the first for what stands large on the screen or decides the account's figures. */
export const laneOf = (name) => (name === symbol.value || heldSymbols.value.has(name) ? 0 : (halves.value.get(name) ?? 1));

/** Take in rows of [symbol, bid, ask, epoch ms]. */
export function pricesApply(rows) {
  const now = performance.now();
  batch(() => {
    for (const [name, bid, ask] of rows) {
      const known = instruments.value.get(name);
      if (!known) continue;
      const quote = quoteOf(name);
      const before = quote.bid.peek();
      if (before && before !== bid) {
        const hasRisen = toUnits(bid, known.priceDecimals) > toUnits(before, known.priceDecimals);
        tints.moved(quote, hasRisen, now);
      }
      quote.bid.value = bid;
      quote.ask.value = ask;
      quote.heardAt = now;
    }
  });
}

/** Symbol -> bid of 24 hours ago as text, for the change of the day. */
export const dayOpens = signal(new Map());

/** Return the change of a symbol over 24 hours, at a bid: [ticks, ticks at its beginning], null if unknown. */
export function dayChange(name, bidText) {
  const known = instruments.value.get(name);
  const open = known && toUnits(dayOpens.value.get(name), known.priceDecimals);
  const now = known && toUnits(bidText, known.priceDecimals);
  return open && now !== null && now !== undefined ? [now - open, open] : null;
}

/** Give a position its live parts: the price that would close it and its result there, micro-USD. */
function positionLive(row) {
  const known = instruments.value.get(row.symbol);
  const quote = quoteOf(row.symbol);
  // Longs are sold at the bid, shorts are bought back at the ask.
  const closing = row.direction === "long" ? quote.bid : quote.ask;
  const entryTicks = toUnits(row.entry, known.priceDecimals);
  const quantityUnits = toUnits(row.quantity, known.quantityDecimals);
  const pnlAt = (ticks) => pnlMicros(known, { direction: row.direction, entryTicks, quantityUnits }, ticks);
  const pnl = computed(() => {
    const ticks = toUnits(closing.value, known.priceDecimals);
    return ticks === null ? 0n : pnlAt(ticks);
  });
  const marginMicros = toUnits(row.margin, MONEY_DECIMALS) ?? 0n;
  return { ...row, instrument: known, closing, pnl, pnlAt, entryTicks, quantityUnits, marginMicros };
}

/** Replace what the account holds by what the server has just said. */
export function accountApply({ balanceText, levels: stated, openRows, orderRows }) {
  batch(() => {
    balance.value = toUnits(balanceText, MONEY_DECIMALS);
    levels.value = stated;
    const isKnown = (row) => instruments.value.has(row.symbol);
    positions.value = openRows.filter(isKnown).map(positionLive);
    if (orderRows) orders.value = orderRows.filter(isKnown);
  });
}

/** Forget what the former account held. */
export function accountClear() {
  batch(() => {
    balance.value = levels.value = null;
    positions.value = orders.value = closed.value = [];
    ledger.value = ledgerNext.value = null;
    isClosedMore.value = false;
  });
}

/** The account's figures by the engine's formulas, micro-USD; null until the balance is known. */
export const figures = computed(() => {
  if (balance.value === null) return null;
  let pnl = 0n;
  let crossPnl = 0n;
  let used = 0n;
  let isolated = 0n;
  for (const position of positions.value) {
    pnl += position.pnl.value;
    if (position.marginMode === "isolated") {
      isolated += position.marginMicros;
    } else {
      crossPnl += position.pnl.value;
      used += position.marginMicros;
    }
  }
  // Isolated positions live on their own margin: it and their result stay out of what the others may use.
  const crossEquity = balance.value - isolated + crossPnl;
  return {
    balance: balance.value,
    pnl,
    isolated,
    equity: balance.value + pnl,
    used,
    free: crossEquity - used,
    crossEquity,
  };
});
