// What happened to the account, in words: fills of waiting orders, stops, margin calls, stop-outs. Market orders and closes
// that were asked for here are answered where they were asked.

import { MONEY_DECIMALS, amount, grouped, money, signedMoney, toUnits, trimZeros } from "./format.js";
import { toldOf } from "./refusals.js";
import { account } from "./store.js";
import { toast } from "./toasts.js";
import { CASH_KINDS, CLOSE_REASONS } from "./words.js";

const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
const ORDER_KINDS = { limit: "Limit", stop: "Stop", stopLimit: "Stop limit" };

// Closings that the trader asked for: told where they were asked.
const ASKED_FOR = new Set(["client", "reverse"]);

// Not every event repeats the symbol of its order.
const inSymbol = ({ symbol }) => (symbol ? ` in ${symbol}` : "");

const WORDS = {
  MarginCallRaised: (event) => [
    "bad",
    "Margin call",
    `Margin level is ${trimZeros(event.marginLevel)}%. Add money or close positions, else they will be closed for you.`,
  ],
  MarginCallCleared: () => ["info", "Margin call over", "The margin level is safe again."],
  StopOutStarted: (event) => [
    "bad",
    "Stop-out",
    `Margin level is ${trimZeros(event.marginLevel)}%. Positions are being closed, largest loss first.`,
  ],
  StopOutPending: () => ["bad", "Stop-out waits", "Positions cannot be closed now; nothing can be opened until they are."],
  PositionOpened: (event) => {
    const kind = ORDER_KINDS[event.orderType];
    const verb = event.direction === "long" ? "bought" : "sold";
    return kind && ["good", `${kind} order filled`, `${event.symbol}: ${verb} ${amount(event.quantity)} at ${grouped(event.price)}`];
  },
  OrderRejected: (event) => ["bad", `Order${inSymbol(event)} not filled`, `It reached its price and was refused. ${toldOf(event) ?? event.code}.`],
  OrderExpired: (event) => ["info", `Order${inSymbol(event)} expired`, "It was not filled before its end."],
  PositionClosed: (event) => {
    if (ASKED_FOR.has(event.closeReason)) return null;
    const pnl = micros(event.pnl);
    const title = `${event.symbol} closed by ${CLOSE_REASONS[event.closeReason] ?? event.closeReason}`;
    const text = `${amount(event.quantity)} at ${grouped(event.price)}, result ${signedMoney(pnl)} USD`;
    return [pnl < 0n ? "bad" : "good", title, text];
  },
  CashPosted(event) {
    // Play money is told where it was asked for.
    if (event.kind === "deposit" && account.peek()?.kind === "demo") return null;
    return ["info", "Balance changed", `${CASH_KINDS[event.kind] ?? event.kind}: ${money(micros(event.amount))} USD`];
  },
};

/** Tell the trader about an event of the account; most need no words. `isLate`: it happened while nobody looked. */
export function announce(event, { isLate = false } = {}) {
  const words = WORDS[event.type]?.(event);
  if (!words) return;
  const [tone, title, text] = words;
  toast(tone, isLate ? `While you were away: ${title}` : title, text);
}
