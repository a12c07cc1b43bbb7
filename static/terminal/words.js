// Words of the wire that people read. Pure.

/** How a position may come to be closed. */
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

/** What a ledger entry is about, by the event that made it. */
export const LEDGER_KINDS = {
  CashPosted: "Deposit or withdrawal",
  PositionOpened: "Opened",
  PositionClosed: "Closed",
  SwapCharged: "Swap",
  NegativeBalanceCovered: "Negative balance covered",
};
