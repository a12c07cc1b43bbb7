// The table of open positions: live results, and everything that can be done to a position.

import { computed, signal, useComputed } from "@preact/signals";
import { tone } from "./account.js";
import { amount, money, percent, price, signedMoney, toText, trimZeros } from "./format.js";
import { html } from "./html.js";
import { isGrouped, isThisSymbolOnly } from "./prefs.js";
import { heartbeat, positions, symbol } from "./store.js";
import { Act, Empty, Head, filterRows, orderSignal, sortRows } from "./table.js";

const order = orderSignal();
/** Ids of positions about which something is under way. */
export const busy = signal(new Set());

const COLUMNS = [
  { id: "symbol", label: "Position", sort: (row) => row.symbol },
  { id: "quantity", label: "Quantity" },
  { id: "entry", label: "Entry" },
  { id: "now", label: "Now", title: "The price that would close it: bid for longs, ask for shorts" },
  { id: "margin", label: "Margin", sort: (row) => row.marginMicros, className: "spare" },
  { id: "stopLoss", label: "Stop loss", className: "spare later" },
  { id: "takeProfit", label: "Take profit", className: "spare later" },
  { id: "pnl", label: "P&L, USD", sort: (row) => row.pnl.peek(), title: "(now − entry) × quantity, before commission and swap; beside it the share of the margin" },
  { id: "act", label: "" },
];

export const nameOf = ({ symbol: name, direction, quantity }) => `${name} ${direction} ${amount(quantity)}`;

export function Direction({ direction }) {
  return html`<span class="direction ${direction}">${direction === "long" ? "Long" : "Short"}</span>`;
}

/** Which positions the table shows. */
export const shownPositions = computed(() => {
  const here = isThisSymbolOnly.value ? positions.value.filter((row) => row.symbol === symbol.value) : positions.value;
  return filterRows(here, (row) => [row.symbol, row.direction, row.id]);
});

function PositionRow({ position, does }) {
  const { pnl, marginMicros, trailing } = position;
  const text = useComputed(() => signedMoney(pnl.value));
  const share = useComputed(() => percent(pnl.value, marginMicros));
  const className = useComputed(() => `number strong ${tone(pnl.value)}`);
  const current = useComputed(() => price(position.closing.value));
  const isBusy = busy.value.has(position.id);
  const name = nameOf(position);
  return html`<tr data-position=${position.id}>
    <th scope="row">
      <a href="/trade/${position.symbol}" onClick=${(event) => does.show(event, position.symbol)}>${position.symbol}</a>
      <${Direction} direction=${position.direction} />
      <span class="times">${position.leverage}×${position.marginMode === "isolated" ? " iso" : ""}</span>
    </th>
    <td class="number" data-label="Quantity">${amount(position.quantity)}</td>
    <td class="number" data-label="Entry">${price(position.entry)}</td>
    <td class="number" data-label="Now">${current}</td>
    <td class="number spare" data-label="Margin">${money(marginMicros)}</td>
    <td class="number spare later" data-label="Stop loss">${price(position.stopLoss)}${trailing ? html`<small title="Trails at ${price(trailing)}"> T</small>` : ""}</td>
    <td class="number spare later" data-label="Take profit">${price(position.takeProfit)}</td>
    <td class="result" data-label="P&L" title=${position.swap && `Swap so far ${trimZeros(position.swap)} USD`}><span class=${className} data-pnl>${text}</span><small class="number muted">${share}</small></td>
    <td class="act">
      <${Act} icon="edit" label="Edit stops of ${name}" name="Edit stops" isOff=${isBusy} onClick=${() => does.edit(position)} />
      <${Act} icon="part" label="Close a part of ${name}" name="Close a part" isOff=${isBusy} onClick=${() => does.part(position)} />
      <${Act} icon="reverse" label="Reverse ${name}" name="Reverse: close and open the opposite" isOff=${isBusy} onClick=${() => does.reverse(position)} />
      <${Act} icon="why" label="Why ${name}?" name="Why? The receipt in words" onClick=${() => does.why(position.id)} />
      <button class="button small" type="button" disabled=${isBusy} onClick=${() => does.close(position)} aria-label="Close ${name}"
      >${isBusy ? "…" : "Close"}</button>
    </td>
  </tr>`;
}

// --- one row per symbol ----------------------------------------------------------------------------------------------

function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) groups.set(row.symbol, [...(groups.get(row.symbol) ?? []), row]);
  return [...groups];
}

function GroupRow({ name, rows, does }) {
  const known = rows[0].instrument;
  const net = rows.reduce((sum, row) => sum + (row.direction === "long" ? row.quantityUnits : -row.quantityUnits), 0n);
  const margin = rows.reduce((sum, row) => sum + row.marginMicros, 0n);
  const pnl = useComputed(() => rows.reduce((sum, row) => sum + row.pnl.value, 0n));
  const text = useComputed(() => signedMoney(pnl.value));
  const className = useComputed(() => `number strong ${tone(pnl.value)}`);
  const share = useComputed(() => percent(pnl.value, margin));
  const side = net === 0n ? "flat" : net > 0n ? "net long" : "net short";
  return html`<tr data-group=${name}>
    <th scope="row"><a href="/trade/${name}" onClick=${(event) => does.show(event, name)}>${name}</a> <span class="times">${rows.length} × ${side}</span></th>
    <td class="number" data-label="Net">${amount(toText(net < 0n ? -net : net, known.quantityDecimals))}</td>
    <td class="number" data-label="Margin">${money(margin)}</td>
    <td class="result" data-label="P&L"><span class=${className} data-pnl>${text}</span><small class="number muted">${share}</small></td>
    <td class="act"><button class="button small" type="button" aria-label="Close all ${name}" onClick=${() => does.closeAll({ symbol: name })}>Close all</button></td>
  </tr>`;
}

function Groups({ rows, does }) {
  return html`<table class="rows">
    <thead><tr><th scope="col">Market</th><th scope="col">Net quantity</th><th scope="col">Margin</th>
      <th scope="col">P&L, USD</th><td></td></tr></thead>
    <tbody>${groupsOf(rows).map(([name, group]) => {
      const key = group.map((row) => `${row.id} ${row.quantity}`).join();
      return html`<${GroupRow} key=${key} name=${name} rows=${group} does=${does} />`;
    })}</tbody>
  </table>`;
}

export function Positions({ does }) {
  const rows = shownPositions.value;
  if (positions.value.length === 0) {
    return html`<${Empty}>No open position. What you buy or sell appears here, with its result changing as prices do.<//>`;
  }
  if (rows.length === 0) return html`<${Empty}>No open position matches.<//>`;
  if (isGrouped.value) return html`<${Groups} rows=${rows} does=${does} />`;
  // A table that is sorted by its results is put in order twice a second, not with every tick.
  const _beat = order.value.id === "pnl" ? heartbeat.value : 0;
  return html`<table class="rows">
    <${Head} columns=${COLUMNS} order=${order} />
    <tbody>
      ${sortRows(rows, COLUMNS, order.value).map((position) => {
        const key = `${position.id} ${position.quantity} ${position.stopLoss} ${position.takeProfit} ${position.margin}`;
        return html`<${PositionRow} key=${key} position=${position} does=${does} />`;
      })}
    </tbody>
  </table>`;
}
