// The portfolio page: what an account has achieved, from its ledger and its closings. Every figure says how it is made;
// the arithmetic is performance.js.

import { signal } from "@preact/signals";
import { AreaSeries, LineSeries, createChart } from "lightweight-charts";
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { accountUse, accountsGet, candlesGet, closedGet, instrumentsGet, ledgerGet, positionsGet } from "./api.js";
import { MONEY_DECIMALS, money, pnlMicros, signedMoney, toText, toUnits } from "./format.js";
import { html } from "./html.js";
import {
  FLOW_KINDS,
  balanceCurve,
  byDay,
  bySymbol,
  closingFigures,
  drawdown,
  equityCurve,
  intervalFor,
  ledgerCsv,
  ledgerFigures,
  symbolsOf,
} from "./performance.js";

// More than this is not read into a browser; the page says so.
const ENTRIES_MAX = 5000;
const DAY_MS = 86_400_000;
const RANGES = [
  ["7", "7 days"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["", "Everything"],
];
const DASH = "\u2013";
const data = signal(null);
const trouble = signal("");
const range = signal("30");
const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
const tone = (value) => (value > 0n ? "gain" : value < 0n ? "loss" : "");

// --- reading ---------------------------------------------------------------------------------------------------------

async function ledgerAll(id) {
  const entries = [];
  let cursor = "";
  do {
    const page = await ledgerGet(id, { cursor, limit: 500 });
    entries.push(...page.entries);
    cursor = page.next;
  } while (cursor && entries.length < ENTRIES_MAX);
  return { entries, isWhole: !cursor };
}

async function closingsAll() {
  const rows = [];
  for (let page = []; rows.length < ENTRIES_MAX; rows.push(...page)) {
    page = await closedGet({ limit: 100, offset: rows.length });
    if (page.length === 0) break;
  }
  return rows;
}

async function load() {
  const accounts = await accountsGet();
  const wanted = Number(new URLSearchParams(location.search).get("account"));
  const own = accounts.find((row) => Number(row.accountId) === wanted) ?? accounts.find((row) => row.isDefault === true) ?? accounts[0];
  const id = Number(own.accountId);
  accountUse(id);
  const [instruments, ledger, closings, positions] = await Promise.all([instrumentsGet(), ledgerAll(id), closingsAll(), positionsGet()]);
  data.value = { accounts, own, id, instruments: new Map(instruments.map((row) => [row.symbol, row])), ...ledger, closings, positions };
}

// --- the curve -------------------------------------------------------------------------------------------------------

function holdingsOf({ instruments, closings, positions }) {
  const holding = (row, untilMs) => {
    const known = instruments.get(row.symbol);
    const part = {
      direction: row.direction,
      entryTicks: toUnits(row.entry, known.priceDecimals),
      quantityUnits: toUnits(row.quantity, known.quantityDecimals),
    };
    return { symbol: row.symbol, fromMs: Date.parse(row.openedAt), untilMs, resultAt: (ticks) => pnlMicros(known, part, ticks) };
  };
  return [
    ...closings.filter((row) => instruments.has(row.symbol)).map((row) => holding(row, Date.parse(row.closedAt))),
    ...positions.filter((row) => instruments.has(row.symbol)).map((row) => holding(row, Infinity)),
  ];
}

async function curvesOf(all, sinceMs) {
  const balance = balanceCurve(all.entries);
  if (balance.length === 0) return { balance: [], equity: [] };
  const fromMs = Math.max(sinceMs, balance[0].ms);
  const [interval, stepMs] = intervalFor(Date.now() - fromMs);
  const holdings = holdingsOf(all).filter((row) => row.untilMs > fromMs);
  const closes = new Map();
  await Promise.all(
    symbolsOf(holdings).map(async (symbol) => {
      const { priceDecimals } = all.instruments.get(symbol);
      const rows = await candlesGet({ symbol, interval, limit: 1000 });
      closes.set(symbol, new Map(rows.map((row) => [Number(row[0]), toUnits(row[4], priceDecimals)])));
    }),
  );
  const first = Math.ceil(fromMs / stepMs) * stepMs;
  const instants = [fromMs];
  for (let ms = first; ms <= Date.now(); ms += stepMs) instants.push(ms);
  instants.push(Date.now());
  // A candle that began a step ago has closed at this instant.
  const closeAt = (symbol, ms) => closes.get(symbol)?.get(Math.floor(ms / stepMs) * stepMs - stepMs) ?? null;
  return { balance: equityCurve(balance, [], instants, closeAt), equity: equityCurve(balance, holdings, instants, closeAt) };
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// A picture: the chart library draws numbers.
const drawn = (curve) => curve.map(({ ms, micros: value }) => ({ time: Math.floor(ms / 1000) - new Date(ms).getTimezoneOffset() * 60, value: Number(toText(value, MONEY_DECIMALS)) }));

function Curve({ all, sinceMs }) {
  const element = useRef(null);
  const chart = useRef(null);
  useEffect(() => {
    const made = createChart(element.current, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element.current).fontFamily, fontSize: 11 },
      timeScale: { timeVisible: true, rightOffset: 2 },
      rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.12 } },
      handleScroll: false,
      handleScale: false,
    });
    const equity = made.addSeries(AreaSeries, { lineWidth: 2, priceLineVisible: false });
    const balance = made.addSeries(LineSeries, { lineWidth: 1, lineStyle: 2, priceLineVisible: false, lastValueVisible: false });
    const style = () => {
      const accent = colour("--accent");
      made.applyOptions({
        layout: { background: { color: colour("--panel") }, textColor: colour("--muted") },
        grid: { vertLines: { visible: false }, horzLines: { color: colour("--grid") } },
        rightPriceScale: { borderVisible: false },
        timeScale: { borderColor: colour("--line") },
      });
      equity.applyOptions({ lineColor: accent, topColor: colour("--accent-soft"), bottomColor: colour("--panel") });
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
    curvesOf(all, sinceMs)
      .then((curves) => {
        if (!isCurrent) return;
        chart.current.equity.setData(drawn(curves.equity));
        chart.current.balance.setData(drawn(curves.balance));
        chart.current.made.timeScale().fitContent();
        element.current.dataset.points = String(curves.equity.length);
      })
      .catch((error) => (trouble.value = error.message));
    return () => (isCurrent = false);
  }, [all, sinceMs]);
  return html`<div class="curve" ref=${element} role="img" aria-label="Equity and balance over time"></div>`;
}

// --- figures ---------------------------------------------------------------------------------------------------------

const tenths = (value) => (value === null ? DASH : `${toText(value, 1)}%`);

function tilesOf(entries, closings) {
  const done = closingFigures(closings);
  const paid = ledgerFigures(entries);
  const curve = balanceCurve(entries);
  const ordered = [...entries].sort((a, b) => Number(a.seq) - Number(b.seq));
  const fall = drawdown(curve, ordered.map((row) => (FLOW_KINDS.has(row.kind) ? micros(row.amount) : 0n)));
  const result = paid.total - paid.flows;
  return [
    ["Result", `${signedMoney(result)} USD`, tone(result), "All ledger entries but deposits and withdrawals: closed results, commission and swap."],
    ["Win rate", tenths(done.winRateTenths), "", `Closings with a gain after commission ÷ all closings: ${done.wins} of ${done.count}.`],
    ["Profit factor", done.profitFactorHundredths === null ? DASH : toText(done.profitFactorHundredths, 2), "", `Sum of gains ÷ sum of losses: ${money(done.won)} ÷ ${money(done.lost)}.`],
    ["Expectancy", done.expectancy === null ? DASH : `${signedMoney(done.expectancy)} USD`, tone(done.expectancy ?? 0n), "Average result of one closing, after its commission."],
    ["Max drawdown", `${money(fall.micros)} USD`, "", `Deepest fall of the balance from its highest point before: ${tenths(fall.shareTenths)}. Payments in and out do not count.`],
    ["Commission", `${money(paid.commission)} USD`, "", "Paid to the house on opening and closing, as the ledger has it."],
    ["Swap", `${signedMoney(paid.swap)} USD`, tone(paid.swap), "Financing of nights; positive was paid to you."],
    ["Best / worst", `${signedMoney(done.best)} / ${signedMoney(done.worst)}`, "", "The largest gain and the largest loss of one closing, after its commission."],
  ];
}

function Tiles({ entries, closings }) {
  return html`<dl class="tiles">
    ${tilesOf(entries, closings).map(
      ([name, text, className, why], index) => html`<div key=${name} tabindex="0" aria-describedby="why-${index}">
        <dt>${name}</dt><dd class="number ${className}">${text}</dd><span class="formula" role="tooltip" id="why-${index}">${why}</span>
      </div>`,
    )}
  </dl>`;
}

function Symbols({ closings }) {
  const rows = bySymbol(closings);
  if (rows.length === 0) return html`<p class="muted">Nothing was closed in this time.</p>`;
  return html`<div class="table-scroll" tabindex="0" role="region" aria-label="Results by market"><table class="plain">
    <thead><tr><th scope="col">Market</th><th scope="col">Closings</th><th scope="col">Win rate</th><th scope="col">Profit factor</th><th scope="col">Result, USD</th></tr></thead>
    <tbody>${rows.map(
      (row) => html`<tr key=${row.symbol}><th scope="row"><a href="/trade/${row.symbol}">${row.symbol}</a></th>
        <td>${row.count}</td><td>${tenths(row.winRateTenths)}</td>
        <td>${row.profitFactorHundredths === null ? DASH : toText(row.profitFactorHundredths, 2)}</td>
        <td class="number ${tone(row.net)}">${signedMoney(row.net)}</td></tr>`,
    )}</tbody></table></div>`;
}

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const WEEKS = 5;

/** The last five weeks as rows of days, with what each day's closings brought. */
function Calendar({ closings }) {
  const days = byDay(closings);
  const today = new Date();
  const offset = (today.getDay() + 6) % 7;
  const monday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - offset - 7 * (WEEKS - 1));
  const cells = Array.from({ length: WEEKS * 7 }, (_, index) => {
    const day = new Date(monday.getFullYear(), monday.getMonth(), monday.getDate() + index);
    const key = [day.getFullYear(), String(day.getMonth() + 1).padStart(2, "0"), String(day.getDate()).padStart(2, "0")].join("-");
    return { key, day, net: days.get(key), isAhead: day > today };
  });
  return html`<table class="calendar"><caption class="visually-hidden">Results by day</caption>
    <thead><tr>${WEEKDAYS.map((name) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
    <tbody>${Array.from({ length: WEEKS }, (_, week) => html`<tr key=${week}>${cells.slice(week * 7, week * 7 + 7).map(
      ({ key, day, net, isAhead }) => html`<td key=${key} class=${isAhead ? "ahead" : net === undefined ? "" : tone(net)} title=${key}>
        <span class="day">${day.getDate()}</span>${net !== undefined && html`<b class="number">${signedMoney(net)}</b>`}</td>`,
    )}</tr>`)}</tbody></table>`;
}

// --- page ------------------------------------------------------------------------------------------------------------

function download({ id, entries }) {
  const url = URL.createObjectURL(new Blob([ledgerCsv(entries)], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `statement-${id}.csv`;
  link.click();
  URL.revokeObjectURL(url);
}

function Page() {
  if (trouble.value) return html`<h1>Portfolio</h1><p class="risk" role="alert">${trouble}</p>`;
  const all = data.value;
  if (!all) return html`<h1>Portfolio</h1><p class="muted">Reading the ledger…</p>`;
  const sinceMs = range.value ? Date.now() - Number(range.value) * DAY_MS : 0;
  const entries = all.entries.filter((row) => Date.parse(row.time) >= sinceMs);
  const closings = all.closings.filter((row) => Date.parse(row.closedAt) >= sinceMs);
  const kind = all.own.kind === "live" ? "Live" : "Demo";
  return html`
    <header class="portfolio-head">
      <h1>Portfolio</h1>
      <label class="visually-hidden" for="account">Account</label>
      <select id="account" value=${String(all.id)} onChange=${(event) => location.assign(`/portfolio?account=${event.target.value}`)}>
        ${all.accounts.map((row) => html`<option key=${row.accountId} value=${row.accountId} selected=${Number(row.accountId) === all.id}>${row.kind === "live" ? "Live" : "Demo"} ${row.name || row.accountId}</option>`)}
      </select>
      <span class="badge ${all.own.kind}">${kind}</span>
      <div class="choice" role="group" aria-label="Time">${RANGES.map(
        ([id, name]) => html`<button key=${id} type="button" aria-pressed=${range.value === id} onClick=${() => (range.value = id)}>${name}</button>`,
      )}</div>
      <button class="button" type="button" onClick=${() => download(all)}>Statement, CSV</button>
    </header>
    ${!all.isWhole && html`<p class="risk">Only the newest ${ENTRIES_MAX} entries are counted here.</p>`}
    <${Tiles} entries=${entries} closings=${closings} />
    <section class="card flat"><h2>Equity and balance</h2>
      <p class="muted small">Equity: balance plus open positions at the bid of each candle’s close. Dashed: the balance.</p>
      <${Curve} all=${all} sinceMs=${sinceMs && Math.floor(sinceMs / DAY_MS) * DAY_MS} />
    </section>
    <div class="two">
      <section class="card flat"><h2>By market</h2><${Symbols} closings=${closings} /></section>
      <section class="card flat"><h2>By day</h2><${Calendar} closings=${all.closings} /></section>
    </div>
  `;
}

render(html`<${Page} />`, document.getElementById("portfolio"));
load().catch((error) => (trouble.value = error.message));
