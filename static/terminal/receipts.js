// A receipt in words: why an order was filled or a position closed, from what the journal holds. Pure: no DOM, no
// signals, tested by Node. The figures come from the server as decimal text and are shown as they are.

import { grouped, trimZeros } from "./format.js";
import { toldOf } from "./refusals.js";
import { CLOSE_REASONS } from "./words.js";

const shown = (text) => (text === null || text === undefined ? "–" : grouped(trimZeros(String(text))));

const SIDES = { buy: "Bought", sell: "Sold", long: "Bought", short: "Sold" };
const KINDS = { market: "at the market", limit: "by a limit order", stop: "by a stop order", stopLimit: "by a stop limit order" };

/** What each kind of event says of itself. */
const SENTENCES = {
  OrderPlaced: (event) => `${event.side === "buy" ? "Buy" : "Sell"} order for ${shown(event.quantity)} placed.`,
  OrderModified: () => "The order was changed.",
  OrderCancelled: (event) =>
    event.cancelReason === "stop_out" ? "The order was cancelled by a stop-out." : "The order was cancelled.",
  OrderExpired: () => "The order reached its end without being filled.",
  OrderRejected: (event) => `The order reached its price and was refused. ${toldOf(event) ?? event.code}.`,
  StopLimitActivated: () => "The stop price was reached; the limit order waits from now on.",
  PositionOpened: (event) =>
    `${SIDES[event.direction]} ${shown(event.quantity)} at ${shown(event.price)} ${KINDS[event.orderType] ?? ""}`.trim() +
    `, margin ${shown(event.margin)} USD, commission ${shown(event.commission)} USD.`,
  PositionModified: (event) =>
    `Stops changed: stop loss ${shown(event.stopLoss)}, take profit ${shown(event.takeProfit)}.`,
  TrailingStopMoved: (event) => `The trailing stop moved to ${shown(event.stopLoss)}.`,
  PositionMarginChanged: (event) => `The margin became ${shown(event.margin)} USD.`,
  PositionClosed: (event) =>
    `${shown(event.quantity)} closed at ${shown(event.price)} by ${CLOSE_REASONS[event.closeReason] ?? event.closeReason}` +
    `, result ${shown(event.pnl)} USD, commission ${shown(event.commission)} USD.`,
  SwapCharged: (event) => `Swap of ${shown(event.amount)} USD for ${shown(event.nights)} night(s).`,
};

/** The sentence of an event. */
export const sentenceOf = (event) => SENTENCES[event.type]?.(event) ?? event.type;

const quoteWords = (quote) =>
  quote && `bid ${shown(quote.bid)}, ask ${shown(quote.ask)} (${quote.source}, ${new Date(quote.time).toISOString().slice(11, 23)} UTC)`;

/** camelCase names of the wire as words: "marginLevel" -> "Margin level". */
export const spaced = (name) => name.charAt(0).toUpperCase() + name.slice(1).replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);

/**
 * Return the steps of an order: [{title, time, facts: [[name, text]]}], oldest first. `detail` is the answer to
 * GET /trade/orders/{id}.
 */
export function stepsOf(detail) {
  return detail.receipts.map((receipt) => {
    const facts = [];
    if (receipt.rule) facts.push(["Rule", `${receipt.rule}${receipt.ruleText ? `: ${receipt.ruleText}` : ""}`]);
    if (receipt.quote) facts.push(["Decided on", quoteWords(receipt.quote)]);
    if (receipt.previousQuote) facts.push(["The quote before", quoteWords(receipt.previousQuote)]);
    for (const [name, value] of Object.entries(receipt.inputs ?? {})) facts.push([spaced(name), shown(value)]);
    facts.push(["Journal", `entry ${receipt.journal.number} of shard ${receipt.journal.shard}, chain ${receipt.journal.chainHash.slice(0, 16)}…`]);
    return { title: sentenceOf(receipt.event), time: receipt.time, facts };
  });
}
