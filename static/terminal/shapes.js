// Rows of the wire as the terminal keeps them. Pure: no DOM, no signals, tested by Node. Numbers stay decimal text.

import { MONEY_DECIMALS, floorDivide, toText, toUnits, trimZeros } from "./format.js";

/** Levels are shares of the margin in per cent with two decimals. */
export const LEVEL_DECIMALS = 2;
const WHOLE_LEVEL = 10_000n;

/** Return the equity at which a margin level is reached, micro-USD: the highest one that reaches it. */
export const equityAt = (level, usedMicros) => floorDivide(level * usedMicros, WHOLE_LEVEL);
/** Show a level of a group's terms: 15025n -> "150.25%". */
export const levelText = (level) => `${trimZeros(toText(level, LEVEL_DECIMALS))}%`;

export const directionOf = (type) => (type === "buy" ? "long" : "short");

export const instrumentFrom = (row) => ({
  symbol: row.symbol,
  name: row.name,
  base: row.base ?? row.symbol.replace(/USDT$/, ""),
  status: row.status ?? "open",
  priceDecimals: Number(row.priceDecimals),
  quantityDecimals: Number(row.quantityDecimals),
  quantityMin: row.minQuantity,
  quantityMax: row.maxQuantity,
  quantityStep: row.quantityStep,
  stopDistance: row.minStopDistance ?? "0",
  leverageMax: Number(row.maxLeverage),
  tiers: (row.tiers ?? []).map((tier) => ({
    capMicros: toUnits(tier.notionalCap, MONEY_DECIMALS),
    leverageMax: Number(tier.maxLeverage),
  })),
  swapLong: row.swapLongPercent,
  swapShort: row.swapShortPercent,
  quoteAgeMs: Number(row.maxQuoteAgeMs ?? 15_000),
});

export const positionFrom = (row) => ({
  id: row.orderId,
  symbol: row.symbol,
  direction: directionOf(row.type),
  quantity: row.quantity,
  entry: row.price,
  leverage: Number(row.leverage),
  margin: row.margin,
  marginMode: row.marginMode,
  commission: row.commission,
  swap: row.swap,
  stopLoss: row.stopLoss,
  takeProfit: row.takeProfit,
  trailing: row.trailingDistance,
  liquidation: row.liquidationPrice,
  openedAt: row.createdAt,
});

export const orderFrom = (row) => ({
  id: row.orderId,
  symbol: row.symbol,
  side: row.type,
  orderType: row.orderType,
  quantity: row.quantity,
  price: row.price,
  stopPrice: row.stopPrice,
  isActivated: Boolean(row.isActivated),
  leverage: Number(row.leverage),
  marginMode: row.marginMode,
  timeInForce: row.timeInForce,
  expiresAt: row.expiresAt,
  stopLoss: row.stopLoss,
  takeProfit: row.takeProfit,
  trailing: row.trailingDistance,
  placedAt: row.createdAt,
});

export const closedFrom = (row) => ({
  id: row.orderId,
  symbol: row.symbol,
  direction: directionOf(row.type),
  quantity: row.quantity,
  entry: row.entryPrice,
  exit: row.closePrice,
  pnl: row.pnl,
  commission: row.commission,
  reason: row.closeReason,
  openedAt: row.openedAt,
  closedAt: row.closedAt,
});

export const ledgerFrom = (row) => ({
  seq: row.seq,
  kind: row.kind,
  cashKind: row.cashKind,
  orderId: row.orderId,
  symbol: row.symbol,
  amount: row.amount,
  balance: row.balance,
  time: row.time,
  postings: row.postings ?? [],
});

export const previewFrom = (row) => ({
  isAccepted: row.isAccepted,
  refusal: row.refusal,
  value: row.notional,
  margin: row.margin,
  commission: row.commission,
  spreadCost: row.spreadCost,
  swapNight: row.swapNight,
  freeAfter: row.freeMarginAfter,
  liquidation: row.liquidationPrice,
  stopOut: row.stopOutPrice,
  quantityMax: row.maxQuantity,
  leverageMax: row.maxLeverage === null || row.maxLeverage === undefined ? null : Number(row.maxLeverage),
});

/** Where the account is warned and where it is stopped out, hundredths of a per cent: the terms of its group. */
export const levelsFrom = (row) => ({
  call: toUnits(row.marginCallLevel, LEVEL_DECIMALS),
  stopOut: toUnits(row.stopOutLevel, LEVEL_DECIMALS),
});

/** Return the shapes of the store from the account's snapshot as the socket sends it. */
export const snapshotFrom = (snapshot) => ({
  balanceText: snapshot.balance,
  levels: levelsFrom(snapshot),
  openRows: snapshot.positions.map(positionFrom),
  orderRows: (snapshot.orders ?? []).map(orderFrom),
});
