// The tables below the chart: open positions with live results, and what was closed.

import { signal, useComputed } from "@preact/signals";
import { tone } from "./account.js";
import { MONEY_DECIMALS, clock, money, percent, price, signedMoney, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { CLOSE_REASONS } from "./notices.js";
import { closed, positions } from "./store.js";

const tab = signal("open");
const closing = signal(new Set());

const TABS = [
  ["open", "Positions"],
  ["closed", "History"],
];

function Direction({ direction }) {
  return html`<span class="direction ${direction}">${direction === "long" ? "Long" : "Short"}</span>`;
}

function PositionRow({ position, onClose }) {
  const { pnl, marginMicros } = position;
  const text = useComputed(() => signedMoney(pnl.value));
  const share = useComputed(() => percent(pnl.value, marginMicros));
  const className = useComputed(() => `number strong ${tone(pnl.value)}`);
  const current = useComputed(() => price(position.closing.value));
  const isClosing = closing.value.has(position.id);
  const close = async () => {
    closing.value = new Set([...closing.value, position.id]);
    await onClose(position);
    closing.value = new Set([...closing.value].filter((id) => id !== position.id));
  };
  return html`<tr data-position=${position.id}>
    <th scope="row">
      <a href="/trade/${position.symbol}">${position.symbol}</a>
      <${Direction} direction=${position.direction} />
      <span class="times">${position.leverage}×</span>
    </th>
    <td class="number" data-label="Quantity">${trimZeros(position.quantity)}</td>
    <td class="number" data-label="Entry">${price(position.entry)}</td>
    <td class="number" data-label="Now">${current}</td>
    <td class="number" data-label="Margin">${money(marginMicros)}</td>
    <td class="number" data-label="Stop loss">${price(position.stopLoss)}</td>
    <td class="number" data-label="Take profit">${price(position.takeProfit)}</td>
    <td class=${className} data-label="P&L" data-pnl>${text}</td>
    <td class="number muted" data-label="of margin">${share}</td>
    <td class="act"><button class="button small" type="button" disabled=${isClosing} onClick=${close}
      aria-label="Close ${position.symbol} ${position.direction} ${trimZeros(position.quantity)}"
    >${isClosing ? "Closing…" : "Close"}</button></td>
  </tr>`;
}

function Positions({ onClose }) {
  if (positions.value.length === 0) {
    return html`<p class="empty">
      No open position. What you buy or sell appears here, with its result changing as prices do.
    </p>`;
  }
  return html`<table class="rows">
    <thead><tr>
      <th scope="col">Position</th><th scope="col">Quantity</th><th scope="col">Entry</th><th scope="col">Now</th>
      <th scope="col">Margin</th><th scope="col">Stop loss</th><th scope="col">Take profit</th>
      <th scope="col">P&L, USD</th><th scope="col">of margin</th><td></td>
    </tr></thead>
    <tbody>
      ${positions.value.map((position) => {
        const key = `${position.id} ${position.quantity}`;
        return html`<${PositionRow} key=${key} position=${position} onClose=${onClose} />`;
      })}
    </tbody>
  </table>`;
}

function ClosedRow({ row }) {
  const pnl = toUnits(row.pnl, MONEY_DECIMALS) ?? 0n;
  return html`<tr>
    <th scope="row"><a href="/trade/${row.symbol}">${row.symbol}</a> <${Direction} direction=${row.direction} /></th>
    <td class="number" data-label="Quantity">${trimZeros(row.quantity)}</td>
    <td class="number" data-label="Entry">${price(row.entry)}</td>
    <td class="number" data-label="Exit">${price(row.exit)}</td>
    <td class="number strong ${tone(pnl)}" data-label="P&L">${signedMoney(pnl)}</td>
    <td class="number muted" data-label="Commission">${money(toUnits(row.commission, MONEY_DECIMALS) ?? 0n)}</td>
    <td data-label="Closed by">${CLOSE_REASONS[row.reason] ?? row.reason}</td>
    <td class="number muted" data-label="Closed">${clock(row.closedAt)}</td>
  </tr>`;
}

function History() {
  if (closed.value.length === 0) return html`<p class="empty">Nothing closed yet.</p>`;
  return html`<table class="rows">
    <thead><tr>
      <th scope="col">Position</th><th scope="col">Quantity</th><th scope="col">Entry</th><th scope="col">Exit</th>
      <th scope="col">P&L, USD</th><th scope="col">Commission</th><th scope="col">Closed by</th>
      <th scope="col">Closed</th>
    </tr></thead>
    <tbody>${closed.value.map((row) => html`<${ClosedRow} key=${`${row.id} ${row.closedAt}`} row=${row} />`)}</tbody>
  </table>`;
}

export function Tables({ onClose }) {
  return html`
    <div class="panel-head" role="group" aria-label="Tables">
      ${TABS.map(
        ([
          id,
          name,
        ]) => html`<button key=${id} class="tab" type="button" aria-pressed=${tab.value === id} onClick=${() => (tab.value = id)}
        >${name}${id === "open" && html` <span class="count">${positions.value.length}</span>`}</button>`,
      )}
    </div>
    <div class="table-scroll" tabindex="0" role="region" aria-label=${`${tab.value} positions`}>
      ${tab.value === "open" ? html`<${Positions} onClose=${onClose} />` : html`<${History} />`}
    </div>
  `;
}
