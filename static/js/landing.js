// The price strip of the landing page, asked for every two seconds: sockets are for those who have signed in.
// It stays hidden until prices come, so that no page shows empty boxes.

import { grouped, parseExact, toUnits } from "../terminal/format.js";

const SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"];
const EVERY_MS = 2000;
const BADGES = { simulated: "Simulated", replay: "Replay", live: "Live" };
const strip = document.querySelector("[data-strip]");
const list = strip.querySelector("[data-strip-list]");
const badge = strip.querySelector("[data-strip-badge]");
const cells = new Map();

function cellOf(symbol) {
  let cell = cells.get(symbol);
  if (!cell) {
    const item = list.appendChild(document.createElement("li"));
    item.appendChild(document.createElement("b")).textContent = symbol.replace(/USDT$/, "");
    cell = item.appendChild(document.createElement("span"));
    cell.className = "number";
    cells.set(symbol, cell);
  }
  return cell;
}

function show({ asset, bid, decimal }) {
  const cell = cellOf(asset);
  const before = cell.dataset.bid;
  if (before === bid) return;
  if (before) {
    const hasRisen = toUnits(bid, Number(decimal)) > toUnits(before, Number(decimal));
    const letter = cell.className.endsWith("a") ? "b" : "a";
    cell.className = `number flash ${hasRisen ? "up" : "down"}-${letter}`;
  }
  cell.dataset.bid = bid;
  cell.textContent = grouped(bid);
}

async function refresh() {
  if (document.hidden) return;
  const response = await fetch(`/api/v1/prices/latest?symbols=${SYMBOLS.join(",")}`);
  // Without a feed the last prices would be a lie.
  strip.hidden = !response.ok;
  if (!response.ok) return;
  const rows = parseExact(await response.text()).data;
  const bySymbol = new Map(rows.map((row) => [row.asset, row]));
  SYMBOLS.filter((symbol) => bySymbol.has(symbol)).forEach((symbol) => show(bySymbol.get(symbol)));
  badge.textContent = BADGES[rows[0]?.sourceClass] ?? "";
  strip.hidden = rows.length === 0;
}

const tick = () => refresh().catch(() => (strip.hidden = true));
tick();
setInterval(tick, EVERY_MS);
