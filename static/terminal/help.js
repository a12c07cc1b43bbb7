// Fills the help page with the reader's own numbers: the account's figures and worked examples made of its positions.
// Whoever is not signed in sees an example.

import { balanceGet, instrumentsGet, positionsGet } from "./api.js";
import { MONEY_DECIMALS, grouped, marginMicros, money, notionalMicros, percent, signedMoney, toUnits, trimZeros } from "./format.js";
import { equityAt, levelText } from "./shapes.js";

const EVERY_MS = 3000;
const page = document.querySelector("[data-help]");
const put = (name, text) => {
  for (const element of page.querySelectorAll(`[data-live="${name}"]`)) element.textContent = text;
};
const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;

const EXAMPLE = {
  instrument: { symbol: "BTCUSDT", base: "BTC", priceDecimals: 1, quantityDecimals: 5, swapLong: "-10" },
  position: { symbol: "BTCUSDT", direction: "long", quantity: "0.1", entry: "60000.0", leverage: 10, margin: "600" },
  figures: { balance: 10_000_000_000n, pnl: -120_000_000n, used: 600_000_000n, free: 9_280_000_000n, levels: { call: 10_000n, stopOut: 5_000n } },
};

function figuresShow({ balance, pnl, used, free, levels }) {
  const equity = balance + pnl;
  // Without isolated positions it is the equity; their margin and results are theirs alone.
  const cross = free + used;
  put("balance", `${money(balance)} USD`);
  put("pnl", `${signedMoney(pnl)} USD`);
  put("equity", `${money(equity)} USD`);
  put("used", `${money(used)} USD`);
  put("free", `${money(free)} USD`);
  put("level", percent(cross, used, 0));
  const isolated = cross === equity ? "" : `, ${money(cross)} of it outside of isolated positions`;
  put("free-example", `${money(balance)} + (${signedMoney(pnl)}) = ${money(equity)} of equity${isolated}, less ${money(used)} of margin leaves ${money(free)} free.`);
  put("call-level", levelText(levels.call));
  put("stop-out-level", levelText(levels.stopOut));
  if (used === 0n) return put("level-example", "No margin is used now, so there is no level and nothing can be stopped out.");
  const [call, stopOut] = [equityAt(levels.call, used), equityAt(levels.stopOut, used)];
  const away = cross - stopOut;
  put(
    "level-example",
    `${money(cross)} ÷ ${money(used)} = ${percent(cross, used, 0)}. The margin call comes at an equity of ${money(call)}, the stop-out at ${money(stopOut)}: ` +
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
  put("swap-example", `${quantity} ${position.direction}: ${money(value)} × ${trimZeros(rate).replace("-", "\u2212")}% ÷ 360 = ${signedMoney(night)} USD a night.`);
}

async function show(instruments) {
  if (document.hidden) return;
  const [own, positions] = await Promise.all([balanceGet(), positionsGet()]);
  const [balance, pnl, used, free] = [own.balance, own.pnl, own.used, own.free].map(micros);
  figuresShow({ balance, pnl, used, free, levels: own.levels });
  const [first] = positions;
  if (first) positionShow(instruments.get(first.symbol), first);
}

async function start() {
  positionShow(EXAMPLE.instrument, EXAMPLE.position);
  // Never an example where the page promises the reader's own numbers: dashes stand there until these are known.
  const isSignedIn = page.dataset.signedIn === "true";
  if (!isSignedIn) figuresShow(EXAMPLE.figures);
  const instruments = new Map((await instrumentsGet()).map((row) => [row.symbol, row]));
  // The example's terms are those of this installation too.
  positionShow(instruments.get(EXAMPLE.position.symbol) ?? EXAMPLE.instrument, EXAMPLE.position);
  if (!isSignedIn) return;
  const tick = () => show(instruments).catch(() => {});
  tick();
  setInterval(tick, EVERY_MS);
}

start();
