// The watch list: every instrument with moving prices, found by symbol or name, walked with the arrow keys.
// A quote changes the text and class of its own cells; no row is rendered again.

import { batch, computed, signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { movedPrice, percent, toText, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { favouriteToggle, favourites, isFavouritesOnly } from "./prefs.js";
import { dayChange, instruments, quoteOf, slowBeat, symbol } from "./store.js";

const search = signal("");
const wanted = computed(() => search.value.trim().toUpperCase());

function matches(row) {
  if (!wanted.value) return !isFavouritesOnly.value || favourites.value.includes(row.symbol);
  return row.symbol.includes(wanted.value) || row.name.toUpperCase().includes(wanted.value);
}
const isEmpty = computed(() => ![...instruments.value.values()].some(matches));

// Row -> whether somebody can see it.
const watched = new WeakMap();
const observer = new IntersectionObserver((entries) => {
  batch(() => {
    for (const { target, isIntersecting } of entries) watched.get(target).value = isIntersecting;
  });
});

/** Keep `isSeen` in step with whether the element is in sight; returns what ends it. */
function seenFollow(element, isSeen) {
  watched.set(element, isSeen);
  observer.observe(element);
  return () => observer.unobserve(element);
}

function step(event) {
  const offset = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!offset) return;
  event.preventDefault();
  const links = [...event.currentTarget.querySelectorAll("li:not([hidden]) a")];
  const at = links.indexOf(document.activeElement) + offset;
  links[Math.max(0, Math.min(links.length - 1, at))]?.focus();
}

/** Show a change with the sign that colour-blind readers need: "+1.24%". */
export function changeText([ticks, open]) {
  return (ticks > 0n ? "+" : "") + percent(ticks, open);
}

function Row({ row, onChoose }) {
  const quote = quoteOf(row.symbol);
  const [element, isSeen] = [useRef(null), useSignal(false)];
  useEffect(() => seenFollow(element.current, isSeen), []);
  // What is scrolled out of sight follows a slower beat.
  const live = (cell) => (isSeen.value ? cell.value : (slowBeat.value, cell.peek()));
  const bid = useComputed(() => movedPrice(live(quote.bid), live(quote.move)));
  const gap = useComputed(() => {
    const [low, high] = [toUnits(live(quote.bid), row.priceDecimals), toUnits(live(quote.ask), row.priceDecimals)];
    return low === null || high === null ? "" : trimZeros(toText(high - low, row.priceDecimals));
  });
  const flash = useComputed(() => `number flash ${live(quote.move)}`);
  const change = useComputed(() => dayChange(row.symbol, live(quote.bid)));
  const changed = useComputed(() => (change.value ? changeText(change.value) : "–"));
  const changeClass = useComputed(() => {
    const ticks = change.value?.[0] ?? 0n;
    return `number change ${ticks > 0n ? "gain" : ticks < 0n ? "loss" : "muted"}`;
  });
  const isHidden = useComputed(() => !matches(row));
  const isCurrent = useComputed(() => (symbol.value === row.symbol ? "page" : undefined));
  const isKept = useComputed(() => favourites.value.includes(row.symbol));
  const choose = (event) => {
    // A new tab stays possible: these are real links.
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    onChoose(row.symbol);
  };
  return html`<li ref=${element} hidden=${isHidden}>
    <button class="star" type="button" aria-label="Favourite ${row.symbol}" aria-pressed=${isKept} onClick=${() => favouriteToggle(row.symbol)}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="M8 1.800l1.900 4 4.300.500-3.200 3 .9 4.300L8 11.500l-3.900 2.100.9-4.300-3.200-3 4.300-.500z"/></svg>
    </button>
    <a href="/trade/${row.symbol}" aria-current=${isCurrent} onClick=${choose}>
      <span class="market"><b>${row.base}</b><small>${row.name}</small></span>
      <span class="price"><span class=${flash}>${bid}</span><small class="number" title="Spread">${gap}</small></span>
      <span class=${changeClass}>${changed}</span>
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
      <button class="star all" type="button" aria-label="Show favourites only" aria-pressed=${isFavouritesOnly.value}
        onClick=${() => (isFavouritesOnly.value = !isFavouritesOnly.value)}>
        <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true"><path d="M8 1.800l1.900 4 4.300.500-3.200 3 .9 4.300L8 11.500l-3.900 2.100.9-4.300-3.200-3 4.300-.500z"/></svg>
      </button>
    </div>
    <p class="market-head" aria-hidden="true"><span>Market</span><span>Bid / spread</span><span>24 h</span></p>
    <ul class="markets" onKeyDown=${step}>
      ${rows.map((row) => html`<${Row} key=${row.symbol} row=${row} onChoose=${onChoose} />`)}
    </ul>
    ${
      isEmpty.value &&
      rows.length > 0 &&
      html`<p class="empty">${wanted.value ? html`No market is called “${search}”.` : "No favourites yet: the star beside a market makes one."}</p>`
    }
  `;
}
