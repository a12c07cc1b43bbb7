// The watch list: every instrument with moving prices, found by symbol or name, walked with the arrow keys.
// A quote changes the text and class of its own cells; only rows in sight have such cells.

import { batch, computed, signal, useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { movedPrice, percent, toText, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { favouriteToggle, favourites, isFavouritesOnly } from "./prefs.js";
import { dayChange, instruments, quoteOf, symbol } from "./store.js";

const search = signal("");
const wanted = computed(() => search.value.trim().toUpperCase());

function matches(row) {
  if (!wanted.value) return !isFavouritesOnly.value || favourites.value.includes(row.symbol);
  return row.symbol.includes(wanted.value) || row.name.toUpperCase().includes(wanted.value);
}

// Symbol -> its place among the rows that are shown. All rows are of one height, so places tell who is in sight, and nobody
// has to be watched.
const places = computed(() => new Map([...instruments.value.values()].filter(matches).map((row, place) => [row.symbol, place])));
const firstSeen = signal(0);
const lastSeen = signal(0);
// Rows beyond the edges that have prices already: who scrolls finds them there.
const MARGIN = 4;

/** Keep the places in sight in step with a list's scrolling and size; returns what ends it. */
function sightFollow(list) {
  const look = () => {
    const height = list.querySelector("li:not([hidden])")?.offsetHeight || 1;
    batch(() => {
      firstSeen.value = Math.floor(list.scrollTop / height) - MARGIN;
      lastSeen.value = Math.ceil((list.scrollTop + list.clientHeight) / height) + MARGIN;
    });
  };
  const observer = new ResizeObserver(look);
  observer.observe(list);
  list.addEventListener("scroll", look, { passive: true });
  return () => {
    observer.disconnect();
    list.removeEventListener("scroll", look);
  };
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

/** What moves in a row: bid, spread, change of the day. */
function Prices({ row }) {
  const quote = quoteOf(row.symbol);
  const bid = useComputed(() => movedPrice(quote.bid.value, quote.move.value));
  const gap = useComputed(() => {
    const [low, high] = [toUnits(quote.bid.value, row.priceDecimals), toUnits(quote.ask.value, row.priceDecimals)];
    return low === null || high === null ? "" : trimZeros(toText(high - low, row.priceDecimals));
  });
  const flash = useComputed(() => `number flash ${quote.move.value}`);
  const change = useComputed(() => dayChange(row.symbol, quote.bid.value));
  const changed = useComputed(() => (change.value ? changeText(change.value) : "–"));
  const changeClass = useComputed(() => {
    const ticks = change.value?.[0] ?? 0n;
    return `number change ${ticks > 0n ? "gain" : ticks < 0n ? "loss" : "muted"}`;
  });
  return html`<span class="price"><span class=${flash}>${bid}</span><small class="number" title="Spread">${gap}</small></span>
    <span class=${changeClass}>${changed}</span>`;
}

function Row({ row, onChoose }) {
  const isSeen = useComputed(() => {
    const place = places.value.get(row.symbol);
    return place >= firstSeen.value && place <= lastSeen.value;
  });
  const isHidden = useComputed(() => !places.value.has(row.symbol));
  const isCurrent = useComputed(() => (symbol.value === row.symbol ? "page" : undefined));
  const isKept = useComputed(() => favourites.value.includes(row.symbol));
  const choose = (event) => {
    // A new tab stays possible: these are real links.
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    onChoose(row.symbol);
  };
  return html`<li hidden=${isHidden} class=${isSeen.value ? "seen" : ""}>
    <button class="star" type="button" aria-label="Favourite ${row.symbol}" aria-pressed=${isKept} onClick=${() => favouriteToggle(row.symbol)}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="M8 1.800l1.900 4 4.300.500-3.200 3 .9 4.300L8 11.500l-3.900 2.100.9-4.300-3.200-3 4.300-.500z"/></svg>
    </button>
    <a href="/trade/${row.symbol}" aria-current=${isCurrent} onClick=${choose}>
      <span class="market"><b>${row.base}</b><small>${row.name}</small></span>
      ${isSeen.value && html`<${Prices} row=${row} />`}
    </a>
  </li>`;
}

export function Watchlist({ onChoose }) {
  const rows = [...instruments.value.values()];
  const list = useRef(null);
  useEffect(() => sightFollow(list.current), []);
  /** Show the first market that the search has found. */
  const open = (field) => {
    const [first] = places.value.keys();
    search.value = "";
    field.blur();
    onChoose(first);
  };
  return html`
    <div class="search">
      <input
        id="search" type="search" placeholder="Search markets" aria-label="Search markets" autocomplete="off"
        aria-keyshortcuts="/" value=${search}
        onInput=${(event) => (search.value = event.target.value)}
        onKeyDown=${(event) => {
          if (event.key === "Escape") search.value = "";
          if (event.key === "Enter" && wanted.value && places.value.size) open(event.target);
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
    ${
      places.value.size === 0 &&
      rows.length > 0 &&
      html`<p class="empty">${wanted.value ? html`No market is called “${search}”.` : "No favourites yet: the star beside a market makes one."}</p>`
    }
    <ul class="markets" ref=${list} onKeyDown=${step}>
      ${rows.map((row) => html`<${Row} key=${row.symbol} row=${row} onChoose=${onChoose} />`)}
    </ul>
  `;
}
