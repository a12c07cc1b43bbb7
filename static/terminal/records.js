// The tables of what waits and of what has been: pending orders, closings, the ledger.

import { tone } from "./account.js";
import { MONEY_DECIMALS, amount, clock, cost, money, price, signedMoney, toUnits } from "./format.js";
import { html } from "./html.js";
import { CLOSE_REASONS, ledgerWords } from "./words.js";
import { Direction } from "./positions.js";
import { isThisSymbolOnly } from "./prefs.js";
import { closed, isClosedMore, ledger, ledgerNext, orders, symbol } from "./store.js";
import { Act, Empty, Head, Older, filterRows, orderSignal, sortRows } from "./table.js";

const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
const here = (rows) => (isThisSymbolOnly.value ? rows.filter((row) => row.symbol === symbol.value) : rows);

// --- pending orders --------------------------------------------------------------------------------------------------

const KINDS = { limit: "limit", stop: "stop", stopLimit: "stop limit" };
const ordersOrder = orderSignal();
const ORDER_COLUMNS = [
  { id: "symbol", label: "Order", sort: (row) => row.symbol },
  { id: "quantity", label: "Quantity" },
  { id: "stop", label: "Stop price" },
  { id: "limit", label: "Limit price" },
  { id: "stopLoss", label: "Stop loss", className: "spare later" },
  { id: "takeProfit", label: "Take profit", className: "spare later" },
  { id: "valid", label: "Valid" },
  { id: "placed", label: "Placed", sort: (row) => row.placedAt, className: "spare" },
  { id: "act", label: "" },
];

const validity = (row) => ({ gtc: "until cancelled", day: "today (UTC)", gtd: `until ${clock(row.expiresAt).replace(/:00$/, "")}` })[row.timeInForce];

function OrderRow({ row, does }) {
  const name = `${row.side} ${KINDS[row.orderType]} ${amount(row.quantity)} ${row.symbol}`;
  const direction = row.side === "buy" ? "long" : "short";
  return html`<tr data-order=${row.id}>
    <th scope="row"><a href="/trade/${row.symbol}" onClick=${(event) => does.show(event, row.symbol)}>${row.symbol}</a>
      <span class="direction ${direction}">${row.side === "buy" ? "Buy" : "Sell"} ${KINDS[row.orderType]}</span>
      <span class="times">${row.leverage}×${row.isActivated ? " active" : ""}</span></th>
    <td class="number" data-label="Quantity">${amount(row.quantity)}</td>
    <td class="number" data-label="Stop price">${price(row.stopPrice)}</td>
    <td class="number" data-label="Limit price">${price(row.price)}</td>
    <td class="number spare later" data-label="Stop loss">${price(row.stopLoss)}</td>
    <td class="number spare later" data-label="Take profit">${price(row.takeProfit)}</td>
    <td class="valid" data-label="Valid">${validity(row)}</td>
    <td class="number muted spare" data-label="Placed">${clock(row.placedAt)}</td>
    <td class="act">
      <${Act} icon="edit" label="Edit ${name}" name="Edit the order" onClick=${() => does.editOrder(row)} />
      <button class="button small" type="button" aria-label="Cancel ${name}" onClick=${() => does.cancel(row)}>Cancel</button>
    </td>
  </tr>`;
}

export function Orders({ does }) {
  const rows = filterRows(here(orders.value), (row) => [row.symbol, row.side, row.orderType, row.id]);
  if (orders.value.length === 0) return html`<${Empty}>No order is waiting. Limit and stop orders wait here for their price.<//>`;
  if (rows.length === 0) return html`<${Empty}>No waiting order matches.<//>`;
  return html`<table class="rows">
    <${Head} columns=${ORDER_COLUMNS} order=${ordersOrder} />
    <tbody>${sortRows(rows, ORDER_COLUMNS, ordersOrder.value).map((row) => html`<${OrderRow} key=${JSON.stringify(row)} row=${row} does=${does} />`)}</tbody>
  </table>`;
}

// --- closings --------------------------------------------------------------------------------------------------------

const closedOrder = orderSignal();
const CLOSED_COLUMNS = [
  { id: "symbol", label: "Position", sort: (row) => row.symbol },
  { id: "quantity", label: "Quantity" },
  { id: "entry", label: "Entry" },
  { id: "exit", label: "Exit" },
  { id: "pnl", label: "P&L, USD", sort: (row) => micros(row.pnl), title: "Before commission" },
  { id: "commission", label: "Commission", sort: (row) => micros(row.commission) },
  { id: "reason", label: "Closed by", sort: (row) => row.reason },
  { id: "closed", label: "Closed", sort: (row) => row.closedAt },
  { id: "act", label: "" },
];

function ClosedRow({ row, does }) {
  const pnl = micros(row.pnl);
  return html`<tr>
    <th scope="row"><a href="/trade/${row.symbol}" onClick=${(event) => does.show(event, row.symbol)}>${row.symbol}</a> <${Direction} direction=${row.direction} /></th>
    <td class="number" data-label="Quantity">${amount(row.quantity)}</td>
    <td class="number" data-label="Entry">${price(row.entry)}</td>
    <td class="number" data-label="Exit">${price(row.exit)}</td>
    <td class="number strong ${tone(pnl)}" data-label="P&L">${signedMoney(pnl)}</td>
    <td class="number muted" data-label="Commission">${cost(micros(row.commission))}</td>
    <td data-label="Closed by">${CLOSE_REASONS[row.reason] ?? row.reason}</td>
    <td class="number muted" data-label="Closed">${clock(row.closedAt)}</td>
    <td class="act"><${Act} icon="why" label="Why was ${row.symbol} ${row.direction} closed?" name="Why? The receipt in words" onClick=${() => does.why(row.id)} /></td>
  </tr>`;
}

export function History({ does }) {
  const rows = filterRows(here(closed.value), (row) => [row.symbol, row.direction, CLOSE_REASONS[row.reason], row.id]);
  if (closed.value.length === 0) return html`<${Empty}>Nothing closed yet.<//>`;
  const older = html`<${Older} isThere=${isClosedMore.value} onClick=${does.closedOlder} />`;
  if (rows.length === 0) return html`<${Empty}>No closing matches.<//>${older}`;
  return html`<table class="rows">
    <${Head} columns=${CLOSED_COLUMNS} order=${closedOrder} />
    <tbody>${sortRows(rows, CLOSED_COLUMNS, closedOrder.value).map((row) => html`<${ClosedRow} key=${`${row.id} ${row.closedAt}`} row=${row} does=${does} />`)}</tbody>
  </table>${older}`;
}

// --- ledger ----------------------------------------------------------------------------------------------------------

export function Ledger({ does }) {
  if (ledger.value === null) return html`<${Empty}>Reading the ledger…<//>`;
  const rows = filterRows(here(ledger.value), (row) => [row.symbol ?? "", ledgerWords(row), row.orderId ?? ""]);
  if (ledger.value.length === 0) return html`<${Empty}>No money has moved yet.<//>`;
  const older = html`<${Older} isThere=${ledgerNext.value !== null} onClick=${does.ledgerOlder} />`;
  if (rows.length === 0) return html`<${Empty}>No entry matches.<//>${older}`;
  return html`<table class="rows">
    <thead><tr><th scope="col">Entry</th><th scope="col">Market</th><th scope="col">Order</th><th scope="col">Amount, USD</th>
      <th scope="col">Balance after, USD</th><th scope="col">Time</th></tr></thead>
    <tbody>${rows.map((row) => {
      const amount = micros(row.amount);
      return html`<tr key=${row.seq}>
        <th scope="row">${ledgerWords(row)}</th>
        <td data-label="Market">${row.symbol ?? "–"}</td>
        <td class="number muted" data-label="Order">${row.orderId ?? "–"}</td>
        <td class="number strong ${tone(amount)}" data-label="Amount">${signedMoney(amount)}</td>
        <td class="number" data-label="Balance">${money(micros(row.balance))}</td>
        <td class="number muted" data-label="Time">${clock(row.time)}</td>
      </tr>`;
    })}</tbody>
  </table>${older}`;
}
