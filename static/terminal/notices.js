// What happened to the account without a click of the trader, in words: stops, margin calls, stop-outs.
// Fills and closes that were asked for here are answered where they were asked.

import { grouped, money, signedMoney, toUnits, trimZeros, MONEY_DECIMALS } from "./format.js";
import { toast } from "./toasts.js";

const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;

/** How a position may come to be closed: the reason of the wire in words. */
export const CLOSE_REASONS = {
  client: "you",
  operator: "the back office",
  stop_loss: "stop loss",
  take_profit: "take profit",
  stop_out: "stop-out",
  liquidation: "liquidation",
  close_by: "an opposite position",
  reverse: "reversal",
};

const WORDS = {
  MarginCallRaised: (event) => [
    "bad",
    "Margin call",
    `Margin level is ${trimZeros(event.marginLevel)}%. Add money or close positions, else they will be closed for you.`,
  ],
  MarginCallCleared: () => ["info", "Margin call over", "The margin level is safe again."],
  StopOutStarted: () => ["bad", "Stop-out", "Positions are being closed, largest loss first."],
  PositionClosed: (event) => {
    if (event.closeReason === "client") return null;
    const pnl = micros(event.pnl);
    const title = `${event.symbol} closed by ${CLOSE_REASONS[event.closeReason] ?? event.closeReason}`;
    const text = `${trimZeros(event.quantity)} at ${grouped(event.price)}, result ${signedMoney(pnl)} USD`;
    return [pnl < 0n ? "bad" : "good", title, text];
  },
  CashPosted: (event) => ["info", "Balance changed", `${event.kind}: ${money(micros(event.amount))} USD`],
};

/** Tell the trader about an event of the account; most need no words. */
export function announce(event) {
  const words = WORDS[event.type]?.(event);
  if (words) toast(...words);
}
