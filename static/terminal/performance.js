// The pictures and the time of the portfolio page: periods in whole days, the months of the calendar, the equity curve.
// Pure: no DOM, tested by Node. Its figures are those of the account's statement and are not made here.

import { MONEY_DECIMALS, toUnits } from "./format.js";

const DAY_MS = 86_400_000;
const WIDEST = 20;
// A statement covers at most ten years.
const DAYS_MAX = 3660;

/** Return the day of an instant in UTC, as statements have it: "2026-11-26". */
export const dayOf = (ms) => new Date(ms).toISOString().slice(0, 10);

/** Return the period {from, to} of the last `days` days up to today, both included; everything if `days` is 0. */
export function lastDays(days, nowMs = Date.now()) {
  return { from: dayOf(nowMs - ((days || DAYS_MAX) - 1) * DAY_MS), to: dayOf(nowMs) };
}

/** Return the month some months away from another: ("2026-11", 2) -> "2027-01". */
export function monthStep(month, count) {
  const [year, number] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number - 1 + count, 1)).toISOString().slice(0, 7);
}

/** Return the weeks of a month as lists of seven days from Monday on; null where the day belongs to another month. */
export function weeksOf(month) {
  const [year, number] = month.split("-").map(Number);
  const count = new Date(Date.UTC(year, number, 0)).getUTCDate();
  const before = (new Date(Date.UTC(year, number - 1, 1)).getUTCDay() + 6) % 7;
  const days = Array.from({ length: count }, (_, index) => `${month}-${String(index + 1).padStart(2, "0")}`);
  const cells = [...Array(before).fill(null), ...days];
  while (cells.length % 7) cells.push(null);
  return Array.from({ length: cells.length / 7 }, (_, week) => cells.slice(week * 7, week * 7 + 7));
}

/**
 * Return the equity at these instants (ms): the balance then, and open positions valued at the candle that had closed.
 * `holdings` are {symbol, fromMs, untilMs, resultAt(ticks)}; `closeAt(symbol, ms)` gives the closing price in ticks, null
 * where there is no candle. An instant at which something held has no price gets no point: half an equity is none.
 */
export function equityCurve(curve, holdings, instants, closeAt) {
  let index = 0;
  const points = [];
  for (const ms of instants) {
    while (index + 1 < curve.length && curve[index + 1].ms <= ms) index += 1;
    const held = holdings.filter(({ fromMs, untilMs }) => fromMs <= ms && ms < untilMs);
    const prices = held.map(({ symbol }) => closeAt(symbol, ms));
    if (prices.includes(null)) continue;
    points.push({ ms, micros: held.reduce((sum, holding, at) => sum + holding.resultAt(prices[at]), curve[index].micros) });
  }
  return points;
}

/** Return the points with those of the statement's days (pointsOfDays) among them, and in place of any at the same second. */
export function withDays(points, stated) {
  const bySecond = new Map([...points, ...stated].map((point) => [Math.floor(point.ms / 1000), point]));
  return [...bySecond.values()].sort((a, b) => a.ms - b.ms);
}

/**
 * Return the curves {balance, equity} of a statement's days: what each was worth after its last event, and `own` (the
 * account now) at the end.
 */
export function pointsOfDays(days, own, nowMs = Date.now()) {
  const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
  const curve = (name) => [
    ...days.map((day) => ({ ms: Math.min(Date.parse(day.date) + DAY_MS - 1000, nowMs - 1000), micros: micros(day[name]) })),
    { ms: nowMs, micros: micros(own[{ closingBalance: "balance" }[name] ?? name]) },
  ];
  return { balance: curve("closingBalance"), equity: curve("equity") };
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
  return ["1d", DAY_MS];
}

/** Return the symbols of holdings, those held most often first; a curve needs the candles of each. */
export function symbolsOf(holdings) {
  const counts = new Map();
  for (const { symbol } of holdings) counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, WIDEST).map(([symbol]) => symbol);
}
