// What an account has achieved, computed from its closings and its ledger: the figures of the portfolio page.
// Pure: no DOM, tested by Node. Money is micro-USD as BigInt; shares are in tenths of a per cent.

import { MONEY_DECIMALS, floorDivide, toUnits } from "./format.js";

const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
const abs = (value) => (value < 0n ? -value : value);

/** What a closing brought: its result less its commission. Opening commissions are the ledger's. */
export const netOf = (closing) => micros(closing.pnl) - micros(closing.commission);

/** Return the balance after each ledger entry, oldest first: [{ms, micros}]. */
export function balanceCurve(entries) {
  return entries
    .map((entry) => ({ ms: Date.parse(entry.time), seq: Number(entry.seq), micros: micros(entry.balance) }))
    .sort((a, b) => a.seq - b.seq);
}

/**
 * Return the deepest fall of a curve from its highest point before: {micros, shareTenths}. What is paid in or out is no
 * result, so `flows` (micros by index) lifts and lowers the highest point along with the balance.
 */
export function drawdown(curve, flows = []) {
  let peak = null;
  let worst = { micros: 0n, shareTenths: 0n };
  curve.forEach((point, index) => {
    if (peak === null) peak = point.micros;
    else peak += flows[index] ?? 0n;
    if (point.micros > peak) peak = point.micros;
    const fall = peak - point.micros;
    if (fall > worst.micros) {
      worst = { micros: fall, shareTenths: peak > 0n ? floorDivide(fall * 1000n, peak) : 0n };
    }
  });
  return worst;
}

/** Return what the closings say of the trader: counts, win rate, profit factor, expectancy. */
export function closingFigures(closings) {
  const nets = closings.map(netOf);
  const wins = nets.filter((net) => net > 0n);
  const losses = nets.filter((net) => net < 0n);
  const sum = (values) => values.reduce((total, value) => total + value, 0n);
  const count = BigInt(nets.length);
  const [won, lost] = [sum(wins), abs(sum(losses))];
  return {
    count: nets.length,
    wins: wins.length,
    losses: losses.length,
    net: won - lost,
    won,
    lost,
    winRateTenths: count ? floorDivide(BigInt(wins.length) * 1000n, count) : null,
    // In hundredths; null where nothing was lost.
    profitFactorHundredths: lost ? floorDivide(won * 100n, lost) : null,
    expectancy: count ? floorDivide(won - lost, count) : null,
    best: nets.reduce((best, net) => (net > best ? net : best), 0n),
    worst: nets.reduce((worst, net) => (net < worst ? net : worst), 0n),
  };
}

/** Return one row per symbol, the largest result first. */
export function bySymbol(closings) {
  const groups = new Map();
  for (const closing of closings) {
    groups.set(closing.symbol, [...(groups.get(closing.symbol) ?? []), closing]);
  }
  return [...groups]
    .map(([symbol, rows]) => ({ symbol, ...closingFigures(rows) }))
    .sort((a, b) => (a.net === b.net ? a.symbol.localeCompare(b.symbol) : b.net > a.net ? 1 : -1));
}

/** Return the results of days: "2026-11-26" -> micros, days as the reader's clock has them. */
export function byDay(closings, offsetMinutes = new Date().getTimezoneOffset()) {
  const days = new Map();
  for (const closing of closings) {
    const local = new Date(Date.parse(closing.closedAt) - offsetMinutes * 60_000);
    const day = local.toISOString().slice(0, 10);
    days.set(day, (days.get(day) ?? 0n) + netOf(closing));
  }
  return days;
}

// What moves the balance without being a result of trading.
export const FLOW_KINDS = new Set(["CashPosted"]);

/** Return the sums of a ledger by what they were for: deposits, results, commission, swap, insurance. */
export function ledgerFigures(entries) {
  const totals = { flows: 0n, swap: 0n, total: 0n };
  for (const entry of entries) {
    const amount = micros(entry.amount);
    totals.total += amount;
    if (FLOW_KINDS.has(entry.kind)) totals.flows += amount;
    if (entry.kind === "SwapCharged") totals.swap += amount;
  }
  let commission = 0n;
  for (const entry of entries) {
    for (const posting of entry.postings ?? []) {
      if (/^(demo|live):house:commission$/.test(posting.ledger)) commission += micros(posting.amount);
    }
  }
  return { ...totals, commission };
}
