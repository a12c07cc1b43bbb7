// What the terminal knows, as signals, and the only functions that change it. Components read; they never write here
// directly. Nothing is fetched and nothing is drawn in this module.

import { batch, computed, signal } from "@preact/signals";
import { MONEY_DECIMALS, pnlMicros, toText, toUnits } from "./format.js";

/** Symbol -> instrument, in the order of lists. */
export const instruments = signal(new Map());
/** The symbol on the chart and in the ticket. */
export const symbol = signal("");
export const instrument = computed(() => instruments.value.get(symbol.value));
/** Which side the ticket stands on: "buy" or "sell". */
export const side = signal("buy");
/** Which part a narrow screen shows: "markets", "trade" or "positions". */
export const view = signal("trade");

export const positions = signal([]);
export const closed = signal([]);
/** Settled money, micro-USD; null until the first answer. */
export const balance = signal(null);

/** The line to the server: state is "connecting", "open" or "waiting"; latency in milliseconds. */
export const link = signal({ state: "connecting", latencyMs: null });
/** The prices' origin: class is "live", "replay", "simulated" or "" before the first word of it. */
export const feed = signal({ name: "", sourceClass: "", isFed: true });

/** Take in the server's word on its feed. The source that serves most instruments gives the badge its name. */
export function feedApply({ feed: name, available, sources }) {
  const main = sources.find((source) => source.name === name);
  feed.value = { name: name ?? "", sourceClass: main?.sourceClass ?? "", isFed: available };
}

const quotes = new Map();

/** Return the cell of one symbol's prices. It exists before its first price, so that rows can bind to it. */
export function quoteOf(name) {
  let quote = quotes.get(name);
  if (!quote) {
    // `move` names the last change of the bid: "up" or "down" plus a letter that alternates, so that CSS can start the
    // same flash anew without a timer.
    quote = { bid: signal(""), ask: signal(""), move: signal(""), at: 0 };
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

/** Take in rows of [symbol, bid, ask, epoch ms]. */
export function pricesApply(rows) {
  batch(() => {
    for (const [name, bid, ask, at] of rows) {
      const known = instruments.value.get(name);
      if (!known) continue;
      const quote = quoteOf(name);
      const before = quote.bid.peek();
      if (before && before !== bid) {
        const hasRisen = toUnits(bid, known.priceDecimals) > toUnits(before, known.priceDecimals);
        const letter = quote.move.peek().endsWith("a") ? "b" : "a";
        quote.move.value = `${hasRisen ? "up" : "down"}-${letter}`;
      }
      quote.bid.value = bid;
      quote.ask.value = ask;
      quote.at = at;
    }
  });
}

/** Give a position its live parts: the price that would close it and its result there, micro-USD. */
function positionLive(row) {
  const known = instruments.value.get(row.symbol);
  const quote = quoteOf(row.symbol);
  // Longs are sold at the bid, shorts are bought back at the ask.
  const closing = row.direction === "long" ? quote.bid : quote.ask;
  const entryTicks = toUnits(row.entry, known.priceDecimals);
  const quantityUnits = toUnits(row.quantity, known.quantityDecimals);
  const pnl = computed(() => {
    const ticks = toUnits(closing.value, known.priceDecimals);
    if (ticks === null) return 0n;
    return pnlMicros(known, { direction: row.direction, entryTicks, quantityUnits }, ticks);
  });
  return { ...row, closing, pnl, marginMicros: toUnits(row.margin, MONEY_DECIMALS) ?? 0n };
}

/** Replace what the account holds by what the server has just said. */
export function accountApply({ balanceText, openRows }) {
  batch(() => {
    balance.value = toUnits(balanceText, MONEY_DECIMALS);
    const isKnown = (row) => instruments.value.has(row.symbol);
    positions.value = openRows.filter(isKnown).map(positionLive);
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
    equity: balance.value + pnl,
    used,
    free: crossEquity - used,
    crossEquity,
  };
});
