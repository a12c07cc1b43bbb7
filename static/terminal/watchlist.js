// The watch list: every instrument with moving prices, found by symbol or name, walked with the arrow keys.
// A quote changes the text and class of its own cells; no row is rendered again.

import { computed, signal, useComputed } from "@preact/signals";
import { price } from "./format.js";
import { html } from "./html.js";
import { instruments, quoteOf, symbol } from "./store.js";

const search = signal("");
const wanted = computed(() => search.value.trim().toUpperCase());
const matches = (row) => row.symbol.includes(wanted.value) || row.name.toUpperCase().includes(wanted.value);
const isEmpty = computed(() => ![...instruments.value.values()].some(matches));

function step(event) {
  const offset = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!offset) return;
  event.preventDefault();
  const links = [...event.currentTarget.querySelectorAll("li:not([hidden]) a")];
  const at = links.indexOf(document.activeElement) + offset;
  links[Math.max(0, Math.min(links.length - 1, at))]?.focus();
}

function Row({ row, onChoose }) {
  const quote = quoteOf(row.symbol);
  const bid = useComputed(() => price(quote.bid.value));
  const ask = useComputed(() => price(quote.ask.value));
  const flash = useComputed(() => `number flash ${quote.move.value}`);
  const isHidden = useComputed(() => !matches(row));
  const isCurrent = useComputed(() => (symbol.value === row.symbol ? "page" : undefined));
  const choose = (event) => {
    // A new tab stays possible: these are real links.
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    onChoose(row.symbol);
  };
  return html`<li hidden=${isHidden}>
    <a href="/trade/${row.symbol}" aria-current=${isCurrent} onClick=${choose}>
      <span class="market"><b>${row.base}</b><small>${row.name}</small></span>
      <span class=${flash}>${bid}</span>
      <span class="number">${ask}</span>
    </a>
  </li>`;
}

export function Watchlist({ onChoose }) {
  const rows = [...instruments.value.values()];
  return html`
    <div class="search">
      <input
        id="search" type="search" placeholder="Search markets" aria-label="Search markets" autocomplete="off"
        aria-keyshortcuts="/" value=${search}
        onInput=${(event) => (search.value = event.target.value)}
        onKeyDown=${(event) => {
          if (event.key === "Escape") search.value = "";
          if (event.key === "ArrowDown") document.querySelector("#watchlist li:not([hidden]) a")?.focus();
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
    <p class="market-head" aria-hidden="true"><span>Market</span><span>Bid</span><span>Ask</span></p>
    <ul class="markets" onKeyDown=${step}>
      ${rows.map((row) => html`<${Row} key=${row.symbol} row=${row} onChoose=${onChoose} />`)}
    </ul>
    ${isEmpty.value && rows.length > 0 && html`<p class="empty">No market is called “${search}”.</p>`}
  `;
}
