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

const WIDEST = 10;

/**
 * Return the equity at each of these instants (ms): the balance then, and open positions valued at the candle that had
 * closed. `holdings` are {symbol, direction, quantityUnits, entryTicks, fromMs, untilMs, resultAt(ticks)};
 * `closeAt(symbol, ms)` gives the closing price in ticks, null where there is no candle.
 */
export function equityCurve(curve, holdings, instants, closeAt) {
  let index = 0;
  return instants.map((ms) => {
    while (index + 1 < curve.length && curve[index + 1].ms <= ms) index += 1;
    let micros = curve[index].micros;
    for (const holding of holdings) {
      if (ms < holding.fromMs || ms >= holding.untilMs) continue;
      const ticks = closeAt(holding.symbol, ms);
      if (ticks !== null) micros += holding.resultAt(ticks);
    }
    return { ms, micros };
  });
}

/** Return the candle interval that draws a span with at most some hundreds of points: [name, milliseconds]. */
export function intervalFor(spanMs) {
  const minute = 60_000;
  for (const [name, minutes] of [
    ["1m", 1],
    ["5m", 5],
    ["15m", 15],
    ["1h", 60],
    ["4h", 240],
  ]) {
    if (spanMs <= 400 * minutes * minute) return [name, minutes * minute];
  }
  return ["1d", 1440 * minute];
}

/** Return the symbols of holdings, those held most often first; a curve needs the candles of each. */
export function symbolsOf(holdings) {
  const counts = new Map();
  for (const { symbol } of holdings) counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, WIDEST).map(([symbol]) => symbol);
}

const csvField = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Return the ledger as CSV, oldest first: the digits of the server, nothing rounded. */
export function ledgerCsv(entries) {
  const rows = [...entries].sort((a, b) => Number(a.seq) - Number(b.seq));
  const lines = rows.map((row) =>
    [row.seq, row.time, row.kind, row.symbol ?? "", row.orderId ?? "", row.amount, row.balance].map((text) => csvField(String(text))).join(","),
  );
  return ["entry,time,kind,symbol,order,amount_usd,balance_usd", ...lines].join("\r\n") + "\r\n";
}
