// The portfolio page: what an account has achieved. Its figures are those that the statement of the same time states, and
// each says how it is made.

import { signal } from "@preact/signals";
import { render } from "preact";
import { accountUse, accountsGet, instrumentsGet, performanceGet } from "./api.js";
import { Calendar } from "./calendar.js";
import { Curve } from "./curve.js";
import { MONEY_DECIMALS, cost, money, signedMoney, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { lastDays } from "./performance.js";
import { Statements, statementMake } from "./statements.js";

const RANGES = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
  [0, "Everything"],
];
const DASH = "\u2013";
const data = signal(null);
const trouble = signal("");
const range = signal(30);
const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
const tone = (value) => (value > 0n ? "gain" : value < 0n ? "loss" : "");
const complain = (words) => (trouble.value = words);

// --- reading ---------------------------------------------------------------------------------------------------------

async function start() {
  const [accounts, rows] = await Promise.all([accountsGet(), instrumentsGet()]);
  const wanted = Number(new URLSearchParams(location.search).get("account"));
  const own = accounts.find((row) => Number(row.accountId) === wanted) ?? accounts.find((row) => row.isDefault === true) ?? accounts[0];
  const id = Number(own.accountId);
  accountUse(id);
  data.value = { accounts, own, id, instruments: new Map(rows.map((row) => [row.symbol, row])), performance: null };
  await rangeShow(range.value);
}

async function rangeShow(days) {
  range.value = days;
  const performance = await performanceGet(data.value.id, lastDays(days));
  // Another time may have been chosen meanwhile.
  if (range.value === days) data.value = { ...data.value, performance, shown: lastDays(days) };
}

// --- figures ---------------------------------------------------------------------------------------------------------

const percentText = (text) => (text === null ? DASH : `${trimZeros(text)}%`);
const factorText = (text) => text ?? DASH;
const signed = (text) => (text === null ? DASH : `${signedMoney(micros(text))} USD`);

/** Return [id, name, text, sign of the result, how it is made]. */
function tilesOf(f) {
  const covered = micros(f.covered) ? ` + what the insurance covered ${money(micros(f.covered))}` : "";
  return [
    ["result", "Result", signed(f.result), micros(f.result), `Closed P&L ${signedMoney(micros(f.pnl))} − commission ${cost(micros(f.commission))} + swap ${signedMoney(micros(f.swap))}${covered}. Deposits and withdrawals do not count.`],
    ["winRate", "Win rate", percentText(f.winRate), 0n, `Closings with a gain after their commission ÷ all closings: ${f.wins} of ${f.trades}.`],
    ["profitFactor", "Profit factor", factorText(f.profitFactor), 0n, `Sum of gains ÷ sum of losses, each closing after its commission: ${money(micros(f.won))} ÷ ${money(micros(f.lost))}.`],
    ["expectancy", "Expectancy", signed(f.expectancy), micros(f.expectancy), `Average result of one closing after its commission: (${money(micros(f.won))} − ${money(micros(f.lost))}) ÷ ${f.trades}.`],
    ["maxDrawdown", "Max drawdown", `${cost(micros(f.maxDrawdown))} USD`, 0n, `Deepest fall of the balance from its highest point before: ${percentText(f.maxDrawdownPercent)} of it. Payments in and out do not count.`],
    ["commission", "Commission", `${cost(micros(f.commission))} USD`, 0n, "Paid to the house on opening and on closing."],
    ["swap", "Swap", signed(f.swap), micros(f.swap), "Financing of nights; positive was paid to you."],
    ["bestWorst", "Best / worst", `${signedMoney(micros(f.best))} / ${signedMoney(micros(f.worst))}`, 0n, "The largest gain and the largest loss of one closing, after its commission."],
  ];
}

function Tiles({ figures }) {
  return html`<dl class="tiles">
    ${tilesOf(figures).map(
      ([id, name, text, sign, why]) => html`<div key=${id} data-tile=${id} tabindex="0" aria-describedby="why-${id}">
        <dt>${name}</dt><dd class="number ${tone(sign)}">${text}</dd><span class="formula" role="tooltip" id="why-${id}">${why}</span>
      </div>`,
    )}
  </dl>`;
}

const SYMBOL_HEADS = [
  ["Market", ""],
  // Beside the name: what somebody looks for is in sight where the rest is scrolled to.
  ["Result, USD", "Closed P&L − commission + swap"],
  ["Closed", "Closings, whole or in part"],
  ["Win rate", "Closings with a gain after their commission ÷ all closings"],
  ["Profit factor", "Sum of gains ÷ sum of losses"],
  ["Commission", "Paid on opening and on closing"],
  ["Swap", "Financing of nights"],
];

function Symbols({ rows }) {
  if (rows.length === 0) return html`<p class="muted">Nothing was traded in this time.</p>`;
  return html`<div class="table-scroll" tabindex="0" role="region" aria-label="Results by market"><table class="plain">
    <thead><tr>${SYMBOL_HEADS.map(([name, why]) => html`<th key=${name} scope="col" title=${why}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map(
      (row) => html`<tr key=${row.symbol} data-symbol=${row.symbol}><th scope="row"><a href="/trade/${row.symbol}">${row.symbol}</a></th>
        <td class="number ${tone(micros(row.result))}">${signedMoney(micros(row.result))}</td>
        <td>${row.trades}</td><td>${percentText(row.winRate)}</td><td>${factorText(row.profitFactor)}</td>
        <td class="number">${cost(micros(row.commission))}</td><td class="number">${signedMoney(micros(row.swap))}</td></tr>`,
    )}</tbody></table></div>`;
}

// --- page ------------------------------------------------------------------------------------------------------------

function Page() {
  if (trouble.value) return html`<h1>Portfolio</h1><p class="risk" role="alert">${trouble}</p>`;
  const all = data.value;
  if (!all?.performance) return html`<h1>Portfolio</h1><p class="muted">Reading the account…</p>`;
  const { figures, symbols, openingBalance, closingBalance } = all.performance;
  const choose = (days) => rangeShow(days).catch((error) => complain(error.message));
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
        ([days, name]) => html`<button key=${days} type="button" aria-pressed=${range.value === days} onClick=${() => choose(days)}>${name}</button>`,
      )}</div>
    </header>
    <p class="muted small portfolio-note">From ${all.shown.from} to ${all.shown.to}, whole days in UTC. The balance was <b class="number" data-opening>${money(micros(openingBalance))}</b> and
      is <b class="number" data-closing>${money(micros(closingBalance))}</b> USD. Every figure is that of the statement of the same time.</p>
    <${Tiles} figures=${figures} />
    <section class="card flat"><h2>Equity and balance</h2>
      <p class="muted small">Equity is the balance plus open positions; dashed: the balance. The end of each day is the statement’s figure, the last point is the engine’s own. Within a week, what lies between is a picture: positions valued at the bid of each candle’s close.</p>
      <${Curve} all=${all} onTrouble=${complain} />
    </section>
    <div class="two">
      <section class="card flat"><h2>By market</h2><${Symbols} rows=${symbols} /></section>
      <section class="card flat"><h2>By day</h2><${Calendar} id=${all.id} onDay=${(day) => statementMake(all.id, { day })} onTrouble=${complain} /></section>
    </div>
    <section class="card flat" id="statements"><h2>Statements</h2>
      <p class="muted small">Opening balance, every entry of the ledger, closing balance, and the figures above, proved to add up before it is handed out.</p>
      <${Statements} id=${all.id} shown=${all.shown} />
    </section>
  `;
}

render(html`<${Page} />`, document.getElementById("portfolio"));
start().catch((error) => complain(error.message));
