// The exact numbers of the terminal: text in, whole numbers through, text out.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ceilDivide,
  clock,
  cost,
  floorDivide,
  grouped,
  marginMicros,
  money,
  notionalMicros,
  parseExact,
  percent,
  pnlMicros,
  price,
  signedMoney,
  toText,
  toUnits,
  trimZeros,
} from "../../../static/terminal/format.js";

const BTC = { priceDecimals: 1, quantityDecimals: 5 };
const SHIB = { priceDecimals: 6, quantityDecimals: 0 };

test("decimal text becomes whole units and comes back", () => {
  for (const [text, decimals, units] of [
    ["77512.1", 1, 775121n],
    ["77512", 1, 775120n],
    ["0.00001", 5, 1n],
    ["-0.5", 6, -500000n],
    ["123456789012345678.123456", 6, 123456789012345678123456n],
  ]) {
    assert.equal(toUnits(text, decimals), units);
    assert.equal(toUnits(toText(units, decimals), decimals), units);
  }
  assert.equal(toText(-5n, 2), "-0.05");
  assert.equal(toText(7n, 0), "7");
});

test("what is no plain decimal, or too fine, is nothing", () => {
  for (const text of ["", " ", "1e3", "NaN", "1.", ".5", "1,5", "0x10", "1.23", "--1", null, undefined]) {
    assert.equal(toUnits(text, 1), null, String(text));
  }
});

test("idle zeros do not count as decimals", () => {
  assert.equal(toUnits("1.20000", 1), 12n);
  assert.equal(trimZeros("0.10000"), "0.1");
  assert.equal(trimZeros("100"), "100");
  assert.equal(trimZeros("5.0"), "5");
});

test("division rounds the way it says, on both sides of zero", () => {
  assert.deepEqual([floorDivide(7n, 2n), floorDivide(-7n, 2n), floorDivide(-8n, 2n)], [3n, -4n, -4n]);
  assert.deepEqual([ceilDivide(7n, 2n), ceilDivide(-7n, 2n), ceilDivide(8n, 2n)], [4n, -3n, 4n]);
});

test("money is grouped, signed and never shown better than it is", () => {
  assert.equal(money(10_000_000_000n), "10,000.00");
  assert.equal(money(1_234_567_899_999n), "1,234,567.89");
  assert.equal(money(-1n), "\u22120.01");
  assert.equal(signedMoney(12_400_000n), "+12.40");
  assert.equal(signedMoney(0n), "0.00");
  assert.equal(signedMoney(-3_100_000n), "\u22123.10");
  assert.equal(grouped("-1234567.5"), "\u22121,234,567.5");
  assert.equal(price(null), "\u2013");
});

test("a share of nothing is a dash", () => {
  assert.equal(percent(1n, 0n), "\u2013");
  assert.equal(percent(812n, 100n, 0), "812%");
  assert.equal(percent(-1n, 3n), "\u221233.34%");
});

test("profit and margin are exact to the micro", () => {
  const long = { direction: "long", entryTicks: 775121n, quantityUnits: 10_000n };
  assert.equal(pnlMicros(BTC, long, 775221n), 1_000_000n);
  assert.equal(pnlMicros(BTC, { ...long, direction: "short" }, 775221n), -1_000_000n);
  // 0.1 BTC at 77,512.1 with 10x -> 775.121 of margin.
  assert.equal(marginMicros(notionalMicros(BTC, 775121n, 10_000n), 10), 775_121_000n);
  assert.equal(marginMicros(10n, 3), 4n);
  assert.equal(notionalMicros(SHIB, 12n, 1_000_000n), 12_000_000n);
});

test("numbers of JSON keep every digit", () => {
  const parsed = parseExact(
    '{"a": 10000.123456789012345, "b": [-0.1, 3], "c": "x \\"1.5\\" y", "d": null, "e12": true}',
  );
  assert.deepEqual(parsed, {
    a: "10000.123456789012345",
    b: ["-0.1", "3"],
    c: 'x "1.5" y',
    d: null,
    e12: true,
  });
});

test("an instant shows its day only if it is not today", () => {
  const now = new Date(2026, 10, 23, 12, 0, 0);
  assert.equal(clock(new Date(2026, 10, 23, 9, 5, 7).toISOString(), now), "09:05:07");
  assert.equal(clock(new Date(2026, 10, 22, 9, 5, 7).toISOString(), now), "22 Nov 09:05:07");
  assert.equal(clock(new Date(2025, 10, 22, 9, 5, 7).toISOString(), now), "22 Nov 2025 09:05:07");
  assert.equal(clock("never"), "\u2013");
});

test("what was paid is rounded up, what was won down", () => {
  assert.equal(cost(5_184_001n), "5.19");
  assert.equal(cost(5_180_000n), "5.18");
  assert.equal(money(5_189_999n), "5.18");
});
