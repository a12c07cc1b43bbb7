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

/** Why the balance changed without a trade. */
export const CASH_KINDS = {
  deposit: "Deposit",
  withdrawal: "Withdrawal asked for",
  settle: "Withdrawal paid out",
  return: "Withdrawal returned",
  adjustment: "Adjustment",
  bonus: "Bonus",
};

/** What a ledger entry is about, by the event that made it. */
const LEDGER_KINDS = {
  PositionOpened: "Opened",
  PositionClosed: "Closed",
  SwapCharged: "Swap",
  NegativeBalanceCovered: "Negative balance covered",
};

/** Say what an entry of the ledger is about. */
export const ledgerWords = ({ kind, cashKind }) => CASH_KINDS[cashKind] ?? LEDGER_KINDS[kind] ?? kind;
