// The price strip of the landing page. It stays hidden until prices come, so that no page shows empty boxes.

import { grouped } from "../terminal/format.js";
import { socketOpen } from "../terminal/socket.js";

const SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"];
const BADGES = { simulated: "Simulated", replay: "Replay", live: "Live" };
const strip = document.querySelector("[data-strip]");
const list = strip.querySelector("[data-strip-list]");
const badge = strip.querySelector("[data-strip-badge]");
const cells = new Map();

function cellOf(symbol) {
  let cell = cells.get(symbol);
  if (!cell) {
    const item = document.createElement("li");
    const name = item.appendChild(document.createElement("b"));
    name.textContent = symbol.replace(/USDT$/, "");
    cell = item.appendChild(document.createElement("span"));
    cells.set(symbol, cell);
    // In our order, whichever price comes first.
    list.replaceChildren(
      ...SYMBOLS.filter((known) => cells.has(known)).map((known) => cells.get(known).parentElement),
    );
  }
  return cell;
}

function show([symbol, bid]) {
  if (!SYMBOLS.includes(symbol)) return;
  const cell = cellOf(symbol);
  const text = grouped(bid);
  if (cell.textContent === text) return;
  const before = Number(cell.dataset.bid ?? bid);
  const letter = cell.className.endsWith("a") ? "b" : "a";
  // Compared as numbers: this only picks a colour.
  cell.className =
    before === Number(bid) ? "number" : `number flash ${Number(bid) > before ? "up" : "down"}-${letter}`;
  cell.dataset.bid = bid;
  cell.textContent = text;
  strip.hidden = false;
}

const subscribe = socketOpen({
  prices: (rows) => rows.forEach(show),
  account: () => {},
  status: ({ feed, sources }) => {
    const main = sources.find((source) => source.name === feed);
    badge.textContent = BADGES[main?.sourceClass] ?? "";
    badge.hidden = !badge.textContent;
  },
  link: () => {},
  opened: () => {},
});
subscribe([`prices:${SYMBOLS.join(",")}`]);
