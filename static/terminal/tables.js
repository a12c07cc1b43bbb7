// The panel below the chart: which table stands there, what narrows it, and what is done to all of its rows at once.

import { signal } from "@preact/signals";
import { html } from "./html.js";
import { Positions, shownPositions } from "./positions.js";
import { isGrouped, isThisSymbolOnly } from "./prefs.js";
import { History, Ledger, Orders } from "./records.js";
import { accountId, orders, positions, symbol } from "./store.js";
import { filter } from "./table.js";

export const tab = signal("open");

const TABS = [
  ["open", "Positions", () => positions.value.length],
  ["orders", "Orders", () => orders.value.length],
  ["closed", "History"],
  ["ledger", "Ledger"],
];
const BODIES = { open: Positions, orders: Orders, closed: History, ledger: Ledger };

function Toggle({ value, name }) {
  return html`<label class="toggle"><input type="checkbox" checked=${value} onChange=${(event) => (value.value = event.target.checked)} /> ${name}</label>`;
}

/** A menu of deeds for many rows; the browser's own disclosure, so that keys work. */
function Many({ label, items }) {
  const choose = (event, run) => {
    event.target.closest("details").open = false;
    run();
  };
  return html`<details class="menu many">
    <summary class="button small">${label}</summary>
    <div class="menu-body">${items.map(([name, run]) => html`<button key=${name} type="button" onClick=${(event) => choose(event, run)}>${name}</button>`)}</div>
  </details>`;
}

function Tools({ does }) {
  if (tab.value === "open" && positions.value.length > 0) {
    const where = isThisSymbolOnly.value ? { symbol: symbol.value } : {};
    const items = [
      // Not what the filter leaves: it is a word for the eye, and this is about money.
      [where.symbol ? `All in ${where.symbol}` : "All", () => does.closeAll(where)],
      ["Losers", () => does.closeAll({ ...where, profit: "losers" })],
      ["Winners", () => does.closeAll({ ...where, profit: "winners" })],
      ["Longs", () => does.closeAll({ ...where, type: "buy" })],
      ["Shorts", () => does.closeAll({ ...where, type: "sell" })],
    ];
    const isOne = shownPositions.value.length > 0;
    return html`<${Toggle} value=${isGrouped} name="By market" />${isOne && html`<${Many} label="Close all" items=${items} />`}`;
  }
  if (tab.value === "orders" && orders.value.length > 0) {
    const where = isThisSymbolOnly.value ? { symbol: symbol.value } : {};
    return html`<button class="button small" type="button" onClick=${() => does.cancelAll(where)}>Cancel all</button>`;
  }
  if (tab.value === "ledger" || tab.value === "closed") {
    return html`<a class="button small" href="/portfolio${accountId.value ? `?account=${accountId.value}` : ""}">Portfolio</a>`;
  }
  return null;
}

export function Tables({ does }) {
  const Body = BODIES[tab.value];
  const choose = (id) => {
    tab.value = id;
    does.tab(id);
  };
  return html`
    <div class="panel-head tables-head">
      <div class="tab-row" role="group" aria-label="Tables">
        ${TABS.map(
          ([id, name, count]) => html`<button key=${id} class="tab" type="button" aria-pressed=${tab.value === id} onClick=${() => choose(id)}
          >${name}${count && html` <span class="count">${count()}</span>`}</button>`,
        )}
      </div>
      <div class="table-tools">
        <${Toggle} value=${isThisSymbolOnly} name="${symbol.value} only" />
        <input class="filter" type="search" placeholder="Filter" aria-label="Filter the table" value=${filter} onInput=${(event) => (filter.value = event.target.value)} />
        <${Tools} does=${does} />
      </div>
    </div>
    <div class="table-scroll" tabindex="0" role="region" aria-label=${TABS.find(([id]) => id === tab.value)[1]}>
      <${Body} does=${does} />
    </div>
  `;
}
