// The live parts of the landing page: prices by a visitor's socket, and the figures that this installation measures.

import { effect, signal } from "@preact/signals";
import { duration, latency, wholeMoney } from "./figures.js";
import { grouped, movedPrice, parseExact, toUnits } from "../terminal/format.js";
import { Tints, paced } from "../terminal/pace.js";

const SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "DOGEUSDT", "ADAUSDT"];
const BADGES = { simulated: "Simulated", replay: "Replay" };
const FIGURES_MS = 10_000;
const ACK_MS = 400;
const RETRY_MS = 3000;
const FADE_MS = 250;
const find = (name) => document.querySelector(`[data-${name}]`);

// --- prices ----------------------------------------------------------------------------------------------------------

const rows = new Map();
const tints = new Tints();
setInterval(() => tints.fade(performance.now()), FADE_MS);
const note = find("quotes-note");
const badge = find("quotes-badge");

function rowOf(symbol) {
  let row = rows.get(symbol);
  if (!row) {
    const line = document.createElement("tr");
    const name = line.appendChild(document.createElement("th"));
    name.scope = "row";
    const icon = name.appendChild(document.createElement("img"));
    icon.src = `/assets/${symbol.replace(/USDT$/, "")}.svg`;
    icon.alt = "";
    name.append(symbol.replace(/USDT$/, ""));
    const cell = () => line.appendChild(document.createElement("td")).appendChild(document.createElement("span"));
    row = { line, bid: cell(), ask: cell(), last: "", move: signal(""), tintedAt: -Infinity };
    row.ask.className = "number";
    rows.set(symbol, row);
    effect(() => (row.bid.className = `number flash ${row.move.value}`));
  }
  return row;
}

function show([symbol, bid, ask]) {
  const row = rowOf(symbol);
  if (row.last && row.last !== bid) {
    const decimals = (bid.split(".")[1] ?? "").length;
    const hasRisen = toUnits(bid, decimals) > toUnits(row.last, decimals);
    tints.moved(row, hasRisen, performance.now());
  }
  row.last = bid;
  row.bid.textContent = movedPrice(bid, row.move.peek());
  row.ask.textContent = grouped(ask);
}

function arrange() {
  const list = find("quotes-list");
  if (list.childElementCount === rows.size) return;
  list.append(...SYMBOLS.filter((symbol) => rows.has(symbol)).map((symbol) => rows.get(symbol).line));
}

const showSoon = paced((quotes) => {
  quotes.forEach(show);
  arrange();
});

function status({ feed, available, sources }) {
  const main = sources.find((source) => source.name === feed);
  const word = BADGES[main?.sourceClass];
  badge.hidden = !word;
  badge.textContent = word ?? "";
  note.textContent = available ? (feed ? `Feed: ${feed}` : "") : "No prices are coming in now";
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/visitor?symbols=${SYMBOLS.join(",")}`);
  let frame = 0;
  let acknowledged = 0;
  const acks = setInterval(() => {
    if (frame === acknowledged) return;
    acknowledged = frame;
    socket.send(JSON.stringify({ op: "ack", frame }));
  }, ACK_MS);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.ch === "status") status(message.d);
    if (message.ch !== "prices") return;
    frame = message.n;
    showSoon(message.d);
  };
  socket.onclose = () => {
    clearInterval(acks);
    note.textContent = "The line is interrupted; trying again";
    setTimeout(connect, RETRY_MS);
  };
}

// --- figures ---------------------------------------------------------------------------------------------------------

const figure = (name, text) => (document.querySelector(`[data-figure=${name}]`).textContent = text);

async function figuresShow() {
  if (document.hidden) return;
  const response = await fetch("/figures");
  if (!response.ok) return;
  const measured = parseExact(await response.text()).data;
  figure("pairs", measured.pairs);
  figure("median", latency(measured.orderMedianUs1h));
  figure("p99", latency(measured.orderP99Us1h));
  figure("orders", `${grouped(measured.orders1h)} in the last hour`);
  figure("turnover", wholeMoney(measured.turnover24h));
  figure("accounts", grouped(measured.accounts));
  figure("active", `${grouped(measured.activeAccounts24h)} traded today`);
  figure("uptime", duration(measured.uptimeSeconds));
}

// Figures are an extra: when they cannot be had, the dashes say so.
const tick = () => figuresShow().catch(() => {});
connect();
tick();
setInterval(tick, FIGURES_MS);
