// Fills the help page with the reader's own numbers: the account's figures and worked examples made of its positions.
// Whoever is not signed in sees an example.

import { balanceGet, instrumentsGet, positionsGet } from "./api.js";
import { MONEY_DECIMALS, grouped, marginMicros, money, notionalMicros, percent, signedMoney, toUnits, trimZeros } from "./format.js";

const EVERY_MS = 3000;
const page = document.querySelector("[data-help]");
const put = (name, text) => {
  for (const element of page.querySelectorAll(`[data-live="${name}"]`)) element.textContent = text;
};
const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;

const EXAMPLE = {
  instrument: { symbol: "BTCUSDT", base: "BTC", priceDecimals: 1, quantityDecimals: 5, swapLong: "-10.95" },
  position: { symbol: "BTCUSDT", direction: "long", quantity: "0.1", entry: "60000.0", leverage: 10, margin: "600" },
  figures: { balance: 10_000_000_000n, pnl: -120_000_000n, used: 600_000_000n },
};

function figuresShow({ balance, pnl, used }) {
  const equity = balance + pnl;
  const free = equity - used;
  put("balance", `${money(balance)} USD`);
  put("pnl", `${signedMoney(pnl)} USD`);
  put("equity", `${money(equity)} USD`);
  put("used", `${money(used)} USD`);
  put("free", `${money(free)} USD`);
  put("level", percent(equity, used, 0));
  put("free-example", `${money(balance)} + (${signedMoney(pnl)}) = ${money(equity)} of equity, less ${money(used)} of margin leaves ${money(free)} free.`);
  if (used === 0n) return put("level-example", "No margin is used now, so there is no level and nothing can be stopped out.");
  const [call, stopOut] = [used, used / 2n];
  const away = equity - stopOut;
  put(
    "level-example",
    `${money(equity)} ÷ ${money(used)} = ${percent(equity, used, 0)}. The margin call comes at an equity of ${money(call)}, the stop-out at ${money(stopOut)}: ` +
      `${money(away)} USD of losses away.`,
  );
}

function positionShow(instrument, position) {
  const price = toUnits(position.entry, instrument.priceDecimals);
  const value = notionalMicros(instrument, price, toUnits(position.quantity, instrument.quantityDecimals));
  const margin = marginMicros(value, position.leverage);
  const quantity = `${trimZeros(position.quantity)} ${instrument.base}`;
  put("margin-example", `${quantity} at ${grouped(position.entry)} with ${position.leverage}× leverage: ${money(value)} ÷ ${position.leverage} = ${money(margin)} USD of margin.`);
  const rate = position.direction === "long" ? instrument.swapLong : instrument.swapShort;
  // Per cent a year: ten thousandths of a per cent are whole millionths.
  const night = (value * (toUnits(rate, 4) ?? 0n)) / 360_000_000n;
  put("swap-example", `${quantity} ${position.direction}: ${money(value)} × ${rate}% ÷ 360 = ${signedMoney(night)} USD a night.`);
}

async function show(instruments) {
  if (document.hidden) return;
  const [own, positions] = await Promise.all([balanceGet(), positionsGet()]);
  const cross = positions.filter((row) => row.marginMode !== "isolated");
  const used = cross.reduce((sum, row) => sum + micros(row.margin), 0n);
  figuresShow({ balance: micros(own.balance), pnl: micros(own.pnl), used });
  const [first] = positions;
  if (first) positionShow(instruments.get(first.symbol), first);
}

async function start() {
  figuresShow(EXAMPLE.figures);
  positionShow(EXAMPLE.instrument, EXAMPLE.position);
  if (page.dataset.signedIn !== "true") return;
  const instruments = new Map((await instrumentsGet()).map((row) => [row.symbol, row]));
  const tick = () => show(instruments).catch(() => {});
  tick();
  setInterval(tick, EVERY_MS);
}

start();
