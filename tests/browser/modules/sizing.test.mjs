// What the trader types, in whole units and ticks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { stepDown, stopTicks, suggestedUnits, tierFor, unitsFrom } from "../../../static/terminal/sizing.js";

const BTC = {
  priceDecimals: 1,
  quantityDecimals: 5,
  quantityMin: "0.00100",
  quantityStep: "0.00100",
  tiers: [
    { capMicros: 50_000_000_000n, leverageMax: 100 },
    { capMicros: 250_000_000_000n, leverageMax: 50 },
  ],
};
const PRICE = 500_000n; // 50,000.0

test("units are taken as they are, too many decimals are no number", () => {
  assert.equal(unitsFrom(BTC, { mode: "units", text: "0.12345" }), 12_345n);
  assert.equal(unitsFrom(BTC, { mode: "units", text: "0.123456" }), null);
  assert.equal(unitsFrom(BTC, { mode: "units", text: "much" }), null);
});

test("an amount of money buys the largest quantity on the step that is not dearer", () => {
  // 1,000 USD at 50,000 is 0.02; 1,049 USD is still 0.02.
  for (const text of ["1000", "1049.99"]) {
    assert.equal(unitsFrom(BTC, { mode: "usd", text, priceTicks: PRICE }), 2_000n);
  }
  assert.equal(unitsFrom(BTC, { mode: "usd", text: "-5", priceTicks: PRICE }), null);
  assert.equal(unitsFrom(BTC, { mode: "usd", text: "5", priceTicks: null }), null);
});

test("a share of the free margin locks at most that share", () => {
  const given = { mode: "percent", priceTicks: PRICE, freeMicros: 10_000_000_000n, leverage: 5 };
  // A quarter of 10,000 USD at 5x is 12,500 USD, 0.25 BTC.
  assert.equal(unitsFrom(BTC, { ...given, text: "25" }), 25_000n);
  assert.equal(unitsFrom(BTC, { ...given, text: "101" }), null);
  assert.equal(unitsFrom(BTC, { ...given, text: "2.5" }), null);
  assert.equal(unitsFrom(BTC, { ...given, text: "25", freeMicros: -1n }), 0n);
});

test("stops lie on their side of the entry", () => {
  const given = { mode: "distance", text: "100", entryTicks: PRICE, units: 10_000n };
  assert.equal(stopTicks(BTC, { ...given, kind: "stopLoss", side: "buy" }), 499_000n);
  assert.equal(stopTicks(BTC, { ...given, kind: "takeProfit", side: "buy" }), 501_000n);
  assert.equal(stopTicks(BTC, { ...given, kind: "stopLoss", side: "sell" }), 501_000n);
  assert.equal(stopTicks(BTC, { ...given, kind: "takeProfit", side: "sell" }), 499_000n);
  assert.equal(stopTicks(BTC, { ...given, kind: "stopLoss", side: "buy", text: "0" }), null);
});

test("a loss by money is never larger than asked for, a profit never smaller", () => {
  // 0.1 BTC: one tick of 0.1 is 0.01 USD. 10.005 USD lie between 1,000 and 1,001 ticks.
  const given = { mode: "money", text: "10.005", side: "buy", entryTicks: PRICE, units: 10_000n };
  assert.equal(stopTicks(BTC, { ...given, kind: "stopLoss" }), PRICE - 1_000n);
  assert.equal(stopTicks(BTC, { ...given, kind: "takeProfit" }), PRICE + 1_001n);
  assert.equal(stopTicks(BTC, { ...given, kind: "stopLoss", units: null }), null);
});

test("a price is a price", () => {
  assert.equal(stopTicks(BTC, { mode: "price", text: "49999.9" }), 499_999n);
  assert.equal(stopTicks(BTC, { mode: "price", text: "49999.99" }), null);
});

test("the tier is the first whose cap is not passed, the last one beyond all", () => {
  assert.equal(tierFor(BTC, 50_000_000_000n).leverageMax, 100);
  assert.equal(tierFor(BTC, 50_000_000_001n).leverageMax, 50);
  assert.equal(tierFor(BTC, 10n ** 18n).leverageMax, 50);
});

test("a suggestion has one digit that counts and is allowed", () => {
  assert.equal(suggestedUnits(BTC, PRICE, 1_000_000_000n), 2_000n);
  assert.equal(suggestedUnits(BTC, PRICE, 1n), 100n);
  assert.equal(stepDown(BTC, 2_099n), 2_000n);
});
