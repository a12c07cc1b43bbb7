// The equity and the balance of an account over time, as a picture.

import { AreaSeries, LineSeries, createChart } from "lightweight-charts";
import { useEffect, useRef } from "preact/hooks";
import { balanceGet, candlesGet, closedGet, positionsGet } from "./api.js";
import { MONEY_DECIMALS, grouped, pnlMicros, toText, toUnits } from "./format.js";
import { html } from "./html.js";
import { dayOf, equityCurve, intervalFor, pointsOfDays, symbolsOf, withDays } from "./performance.js";

// No more closings are asked for within the page's patience; before the oldest of them only the statement's days are drawn.
const CLOSINGS_MAX = 2000;
const PAGE = 100;
const CANDLES_MAX = 1000;
const DAILY_FROM_MS = 7 * 86_400_000;
const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;

async function closingsSince(fromMs) {
  const rows = [];
  for (let page = []; rows.length < CLOSINGS_MAX; rows.push(...page)) {
    page = await closedGet({ limit: PAGE, offset: rows.length, startTime: fromMs });
    if (page.length === 0) break;
  }
  return rows;
}

function holdingsOf(instruments, closings, positions) {
  const holding = (row, untilMs) => {
    const known = instruments.get(row.symbol);
    const part = {
      direction: row.direction,
      entryTicks: toUnits(row.entry, known.priceDecimals),
      quantityUnits: toUnits(row.quantity, known.quantityDecimals),
    };
    return { symbol: row.symbol, fromMs: Date.parse(row.openedAt), untilMs, resultAt: (ticks) => pnlMicros(known, part, ticks) };
  };
  const isKnown = (row) => instruments.has(row.symbol);
  return [
    ...closings.filter(isKnown).map((row) => holding(row, Date.parse(row.closedAt))),
    ...positions.filter(isKnown).map((row) => holding(row, Infinity)),
  ];
}

/** Return the points {balance, equity} of a period; the last one is the engine's own word. */
async function pointsOf(all) {
  const { days, balances } = all.performance;
  // A week and more is drawn by its days, as the statement states them.
  const isLong = balances.length > 0 && Date.now() - Date.parse(balances[0].time) > DAILY_FROM_MS;
  return isLong ? pointsOfDays(days, await balanceGet()) : pointsOfHours(all);
}

/** Return points between those of the statement's days, which stand among them. */
async function pointsOfHours({ instruments, performance }) {
  const balance = performance.balances.map((point) => ({ ms: Date.parse(point.time), micros: micros(point.balance) }));
  if (balance.length === 0) return { balance: [], equity: [] };
  const opening = { ms: Date.parse(performance.from), micros: micros(performance.openingBalance) };
  // A period that begins before the account does is drawn from its first money on.
  if (opening.micros !== 0n) balance.unshift(opening);
  const fromMs = balance[0].ms;
  const [interval, stepMs] = intervalFor(Date.now() - fromMs);
  const [closings, positions, own] = await Promise.all([closingsSince(fromMs), positionsGet(), balanceGet()]);
  const holdings = holdingsOf(instruments, closings, positions);
  const knownFromMs = closings.length < CLOSINGS_MAX ? fromMs : Math.min(...closings.map((row) => Date.parse(row.closedAt)));
  const closes = new Map();
  await Promise.all(
    symbolsOf(holdings).map(async (symbol) => {
      const { priceDecimals } = instruments.get(symbol);
      const rows = await candlesGet({ symbol, interval, limit: CANDLES_MAX });
      closes.set(symbol, new Map(rows.map((row) => [Number(row[0]), toUnits(row[4], priceDecimals)])));
    }),
  );
  const nowMs = Date.now();
  const instants = knownFromMs === fromMs ? [fromMs] : [];
  for (let ms = (Math.floor(knownFromMs / stepMs) + 1) * stepMs; ms < nowMs; ms += stepMs) instants.push(ms);
  // A candle that began a step ago has closed at this instant.
  const closeAt = (symbol, ms) => closes.get(symbol)?.get(Math.floor(ms / stepMs) * stepMs - stepMs) ?? null;
  // Today is not over: its last point is the account as it is.
  const past = performance.days.filter(({ date }) => date < dayOf(nowMs));
  const stated = pointsOfDays(past, own, nowMs);
  return {
    balance: withDays(equityCurve(balance, [], instants, closeAt), stated.balance),
    equity: withDays(equityCurve(balance, holdings, instants, closeAt), stated.equity),
  };
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// A picture: the chart library draws numbers, and wants each second once.
function drawn(curve) {
  const bySecond = new Map(curve.map(({ ms, micros: value }) => [Math.floor(ms / 1000) - new Date(ms).getTimezoneOffset() * 60, value]));
  return [...bySecond].map(([time, value]) => ({ time, value: Number(toText(value, MONEY_DECIMALS)) }));
}

/** The chart; `all` is {instruments, performance}, `onTrouble` is told why nothing can be drawn. */
export function Curve({ all, onTrouble }) {
  const element = useRef(null);
  const chart = useRef(null);
  useEffect(() => {
    const made = createChart(element.current, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element.current).fontFamily, fontSize: 11 },
      timeScale: { timeVisible: true, rightOffset: 0 },
      localization: { priceFormatter: (value) => grouped(value.toFixed(2)) },
      rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.12 } },
      handleScroll: false,
      handleScale: false,
    });
    const equity = made.addSeries(AreaSeries, { lineWidth: 2, priceLineVisible: false });
    const balance = made.addSeries(LineSeries, { lineWidth: 1, lineStyle: 2, priceLineVisible: false, lastValueVisible: false });
    const style = () => {
      made.applyOptions({
        layout: { background: { color: colour("--panel") }, textColor: colour("--muted") },
        grid: { vertLines: { visible: false }, horzLines: { color: colour("--grid") } },
        rightPriceScale: { borderVisible: false },
        timeScale: { borderColor: colour("--line") },
      });
      equity.applyOptions({ lineColor: colour("--accent"), topColor: colour("--accent-soft"), bottomColor: colour("--panel") });
      balance.applyOptions({ color: colour("--muted") });
    };
    style();
    document.documentElement.addEventListener("themechange", style);
    chart.current = { made, equity, balance };
    return () => {
      document.documentElement.removeEventListener("themechange", style);
      made.remove();
    };
  }, []);
  useEffect(() => {
    let isCurrent = true;
    pointsOf(all)
      .then((points) => {
        if (!isCurrent) return;
        chart.current.equity.setData(drawn(points.equity));
        chart.current.balance.setData(drawn(points.balance));
        chart.current.made.timeScale().fitContent();
        element.current.dataset.points = String(points.equity.length);
      })
      .catch((error) => onTrouble(error.message));
    return () => (isCurrent = false);
  }, [all]);
  return html`<div class="curve" ref=${element} role="img" aria-label="Equity and balance over time"></div>`;
}
