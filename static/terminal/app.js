// Puts the terminal together: mounts the parts, opens the socket, shows the instrument of the address.

import { computed, effect } from "@preact/signals";
import { render } from "preact";
import { AccountBar, Connection, Switcher, Views } from "./account.js";
import { instrumentsGet, signInAgain, signOutBegun } from "./api.js";
import { ChartHead, candlesApply, chartMount, intervalChoose } from "./chart.js";
import { dayOpensFollow } from "./day.js";
import { deedsFor, order } from "./deeds.js";
import { Dialog } from "./dialog.js";
import { grouped, movedPrice, price } from "./format.js";
import { html } from "./html.js";
import { keysHelp, keysListen } from "./keys.js";
import { paced } from "./pace.js";
import { isSoundOn } from "./prefs.js";
import { previewFollow } from "./preview.js";
import { Quick } from "./quick.js";
import { accountFind, accountHear, accountRefresh, accountShow, demoAdd, demoFill, explain, resumeFrom, sessionStart } from "./session.js";
import { socketOpen } from "./socket.js";
import { ask, bid, bidMove, dayChange, feedApply, heartbeat, instrument, instruments, isSheetOpen, laneOf, link, modesApply, pricesApply, side, spread, symbol, view } from "./store.js";
import { Tables } from "./tables.js";
import { Ticket } from "./ticket.js";
import { Toasts, toast } from "./toasts.js";
import { Watchlist, changeText } from "./watchlist.js";
import { wishReset } from "./wish.js";

const part = (id) => document.getElementById(id);
const boot = JSON.parse(part("boot").textContent);

// --- the instrument --------------------------------------------------------------------------------------------------

function show(name) {
  symbol.value = name;
  wishReset();
}

function choose(name) {
  if (name !== symbol.value) {
    history.pushState(null, "", `/trade/${name}`);
    show(name);
  }
  view.value = "trade";
}

const bidText = computed(() => price(bid.value));
const headline = computed(() => movedPrice(bid.value, bidMove.value));
const askText = computed(() => price(ask.value));
const spreadText = computed(() => price(spread.value));
const bidClass = computed(() => `number headline flash ${bidMove.value}`);
const change = computed(() => dayChange(symbol.value, bid.value));
const changed = computed(() => (change.value ? changeText(change.value) : "–"));
const changeClass = computed(() => `number ${!change.value?.[0] ? "" : change.value[0] > 0n ? "gain" : "loss"}`);

function Instrument() {
  const known = instrument.value;
  if (!known) return null;
  return html`<div class="instrument">
    <p class="instrument-name"><b>${known.symbol}</b><small>${known.name}</small></p>
    <span class=${bidClass}>${headline}</span>
    <dl>
      <div><dt>Ask</dt><dd class="number">${askText}</dd></div>
      <div><dt>Spread</dt><dd class="number">${spreadText}</dd></div>
      <div><dt>24 h</dt><dd class=${changeClass}>${changed}</dd></div>
    </dl>
  </div>`;
}

/** The two buttons at the foot of a phone: they draw the ticket up. */
function Sheet() {
  const open = (which) => {
    side.value = which;
    isSheetOpen.value = true;
  };
  if (isSheetOpen.value) {
    return html`<button class="sheet-close" type="button" onClick=${() => (isSheetOpen.value = false)}>Close the ticket</button>`;
  }
  return html`<button class="button submit sell" type="button" onClick=${() => open("sell")}><span>Sell</span> <b class="number">${bidText}</b></button>
    <button class="button submit buy" type="button" onClick=${() => open("buy")}><span>Buy</span> <b class="number">${askText}</b></button>`;
}

function SoundSwitch() {
  return html`<label class="menu-check"><input type="checkbox" checked=${isSoundOn} onChange=${(event) => (isSoundOn.value = event.target.checked)} /> Sounds</label>
    <button type="button" onClick=${keysHelp}>Keyboard shortcuts</button>`;
}

// --- start -----------------------------------------------------------------------------------------------------------

const line = socketOpen({
  prices: paced(pricesApply, laneOf),
  candles: candlesApply,
  account: accountHear,
  status: (told) => {
    feedApply(told);
    modesApply(told.modes);
  },
  refused: (frame) => frame.code !== "CHANNEL_UNKNOWN" && toast("bad", "The live line refused a request", frame.message),
  signedOut: signInAgain,
  link: (state) => (link.value = state),
  opened: () => instruments.value.size && accountRefresh(),
  after: resumeFrom,
});
sessionStart(line);
part("sign-out").addEventListener("submit", signOutBegun);

keysListen({
  "/": () => {
    view.value = "markets";
    // Selected, so that what is typed replaces the search before.
    part("search").focus();
    part("search").select();
  },
  b: () => (side.value = "buy"),
  s: () => (side.value = "sell"),
  n: () => {
    view.value = "trade";
    isSheetOpen.value = true;
    part("quantity").focus();
  },
  "?": keysHelp,
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [String(digit), () => intervalChoose(digit - 1)])),
});

async function start() {
  const rows = await instrumentsGet();
  instruments.value = new Map(rows.map((row) => [row.symbol, row]));
  // BTC, BTCUSDT, BTC_USDT: people type all of them.
  const asked = boot.symbol.replace(/[_-]/g, "");
  const found = rows.find((row) => row.symbol === asked || row.base === asked);
  if (!found) toast("info", `${boot.symbol} is not traded here`, `Showing ${rows[0].symbol} instead.`);
  const { symbol: name } = found ?? rows[0];
  history.replaceState(null, "", `/trade/${name}`);
  show(name);

  const does = deedsFor(choose);
  line.subscribe(["prices:*"]);
  render(html`<${Instrument} />`, part("instrument"));
  render(html`<${Ticket} onOrder=${order} />`, part("ticket"));
  render(html`<${Quick} onOrder=${order} />`, part("quick"));
  render(html`<${Tables} does=${does} />`, part("tables"));
  render(html`<${ChartHead} />`, part("chart-head"));
  render(html`<${Watchlist} onChoose=${choose} />`, part("watchlist"));
  render(html`<${Sheet} />`, part("sheet"));
  chartMount(part("chart-body"), line);
  previewFollow();
  dayOpensFollow();
  await accountFind();
}

render(html`<${Toasts} />`, part("toasts"));
// Shown from the start, so that those who listen hear the first message too.
part("toasts").showPopover();
render(html`<${Dialog} />`, part("dialogs"));
render(html`<${AccountBar} />`, part("account"));
render(html`<${Connection} />`, part("connection"));
render(html`<${Switcher} onChoose=${accountShow} onOpen=${demoAdd} onFill=${demoFill} />`, part("switcher"));
render(html`<${Views} view=${view} />`, part("views"));
render(html`<${SoundSwitch} />`, part("preferences"));
effect(() => (part("app").dataset.view = view.value));
effect(() => part("app").classList.toggle("sheet-open", isSheetOpen.value));
// The title follows the heartbeat: a tab's name that changes with every tick costs more than it tells.
effect(() => {
  const _beat = heartbeat.value;
  if (bid.peek()) document.title = `${grouped(bid.peek())} ${symbol.value}`;
});
addEventListener("popstate", () => show(location.pathname.split("/").pop().toUpperCase()));
start().catch((error) => explain("The terminal could not start", error));
