// Puts the terminal together: mounts the parts, opens the socket, carries out what the trader asks for.

import { computed, effect } from "@preact/signals";
import { render } from "preact";
import { AccountBar, Connection, Views } from "./account.js";
import {
  Refusal,
  balanceGet,
  closedGet,
  instrumentsGet,
  orderCreate,
  positionClose,
  positionsGet,
  signInAgain,
  snapshotFrom,
} from "./api.js";
import { ChartHead, chartMount } from "./chart.js";
import { MONEY_DECIMALS, grouped, money, price, signedMoney, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { announce } from "./notices.js";
import { socketOpen } from "./socket.js";
import {
  accountApply,
  ask,
  bid,
  bidMove,
  closed,
  feedApply,
  instrument,
  instruments,
  link,
  pricesApply,
  side,
  spread,
  symbol,
  view,
} from "./store.js";
import { Tables } from "./tables.js";
import { Ticket, ticketReset } from "./ticket.js";
import { Toasts, toast } from "./toasts.js";
import { Watchlist } from "./watchlist.js";

const part = (id) => document.getElementById(id);
const boot = JSON.parse(part("boot").textContent);

// --- the account -----------------------------------------------------------------------------------------------------

let accountId = null;
let refreshing = null;
let isRefreshWanted = false;

async function stakesFetch() {
  const [own, openRows] = await Promise.all([balanceGet(), positionsGet()]);
  accountApply({ balanceText: own.balance, openRows });
  if (own.accountId && own.accountId !== accountId) {
    accountId = own.accountId;
    subscribe([`account:${accountId}`]);
  }
}

async function historyFetch() {
  closed.value = await closedGet();
}

/** Ask for the account's state. Wishes that come while one is under way are answered by one more, made after it. */
function accountRefresh() {
  isRefreshWanted = true;
  refreshing ??= (async () => {
    try {
      while (isRefreshWanted) {
        isRefreshWanted = false;
        // Side by side: the history waits for the projector, and the money at stake must not wait with it.
        await Promise.all([stakesFetch(), historyFetch()]);
      }
    } catch (error) {
      explain("The account could not be read", error);
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

/** Take in a frame of the account's channel: its whole state once, then what has happened, event by event. */
function accountHear(frame) {
  if (frame.snapshot) {
    accountApply(snapshotFrom(frame.snapshot));
  } else {
    announce(frame.d);
    accountRefresh();
  }
}

function explain(title, error) {
  if (!(error instanceof Refusal || error instanceof TypeError)) throw error;
  toast("bad", title, error instanceof Refusal ? error.message : "The server cannot be reached.");
}

async function order(wish) {
  const verb = wish.side === "buy" ? "Bought" : "Sold";
  try {
    const answer = await orderCreate(wish);
    const at = answer.price ? ` at ${grouped(answer.price)}` : "";
    toast("good", `${verb} ${wish.quantity} ${wish.symbol}${at}`);
    await accountRefresh();
    return true;
  } catch (error) {
    explain("Order refused", error);
    return false;
  }
}

async function close(position) {
  try {
    const done = await positionClose(position.id);
    const [pnl, commission] = [done.pnl, done.commission].map((text) => toUnits(text, MONEY_DECIMALS) ?? 0n);
    const fee = commission ? `, commission ${money(commission)} USD` : "";
    toast(
      "good",
      `Closed ${trimZeros(done.quantity)} ${done.symbol} at ${grouped(done.exit)}`,
      `Result ${signedMoney(pnl)} USD${fee}`,
    );
    await accountRefresh();
  } catch (error) {
    explain("Not closed", error);
  }
}

// --- the instrument --------------------------------------------------------------------------------------------------

function show(name) {
  symbol.value = name;
  ticketReset();
}

function choose(name) {
  if (name !== symbol.value) {
    history.pushState(null, "", `/trade/${name}`);
    show(name);
  }
  view.value = "trade";
}

const bidText = computed(() => price(bid.value));
const askText = computed(() => price(ask.value));
const spreadText = computed(() => price(spread.value));
const bidClass = computed(() => `number headline flash ${bidMove.value}`);

function Instrument() {
  const known = instrument.value;
  if (!known) return null;
  return html`<div class="instrument">
    <p class="instrument-name"><b>${known.symbol}</b><small>${known.name}</small></p>
    <span class=${bidClass}>${bidText}</span>
    <dl>
      <div><dt>Ask</dt><dd class="number">${askText}</dd></div>
      <div><dt>Spread</dt><dd class="number">${spreadText}</dd></div>
    </dl>
  </div>`;
}

// --- keys ------------------------------------------------------------------------------------------------------------

const KEYS = {
  "/": () => {
    view.value = "markets";
    part("search").focus();
  },
  b: () => (side.value = "buy"),
  s: () => (side.value = "sell"),
  n: () => {
    view.value = "trade";
    part("quantity").focus();
  },
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select");
  if (event.key === "Escape") {
    event.target.blur();
    document.querySelector("details.menu").open = false;
  }
  const action = KEYS[event.key.toLowerCase()];
  if (!action || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});

document.addEventListener("click", (event) => {
  const menu = document.querySelector("details.menu");
  if (!menu.contains(event.target)) menu.open = false;
});

// --- start -----------------------------------------------------------------------------------------------------------

const subscribe = socketOpen({
  prices: pricesApply,
  account: accountHear,
  status: feedApply,
  refused: (frame) => toast("bad", "The live line refused a request", frame.message),
  signedOut: signInAgain,
  link: (state) => (link.value = state),
  opened: () => instruments.value.size && accountRefresh(),
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

  render(html`<${Watchlist} onChoose=${choose} />`, part("watchlist"));
  render(html`<${Ticket} onOrder=${order} />`, part("ticket"));
  render(html`<${Tables} onClose=${close} />`, part("tables"));
  render(html`<${ChartHead} />`, part("chart-head"));
  render(html`<${Instrument} />`, part("instrument"));
  chartMount(part("chart-body"));
  subscribe(["prices:*"]);
  await accountRefresh();
}

render(html`<${Toasts} />`, part("toasts"));
render(html`<${AccountBar} />`, part("account"));
render(html`<${Connection} />`, part("connection"));
render(html`<${Views} view=${view} />`, part("views"));
effect(() => (part("app").dataset.view = view.value));
effect(() => {
  if (bid.value) document.title = `${grouped(bid.value)} ${symbol.value}`;
});
addEventListener("popstate", () => show(location.pathname.split("/").pop().toUpperCase()));
start().catch((error) => explain("The terminal could not start", error));
