// The periods, the calendar and the curve of the portfolio, worked out by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { equityCurve, intervalFor, lastDays, monthStep, pointsOfDays, symbolsOf, weeksOf, withDays } from "../../../static/terminal/performance.js";

test("the last days are whole days in UTC, today among them", () => {
  const now = Date.parse("2026-11-26T23:59:00Z");

  assert.deepEqual(lastDays(7, now), { from: "2026-11-20", to: "2026-11-26" });
  assert.deepEqual(lastDays(1, now), { from: "2026-11-26", to: "2026-11-26" });
  assert.equal(lastDays(0, now).from, "2016-11-19");
});

test("months are counted over the year's end", () => {
  assert.equal(monthStep("2026-11", 2), "2027-01");
  assert.equal(monthStep("2026-01", -1), "2025-12");
});

test("a month is laid out in weeks that begin on Monday", () => {
  const weeks = weeksOf("2026-11");

  // The first of November 2026 is a Sunday.
  assert.deepEqual(weeks[0], [null, null, null, null, null, null, "2026-11-01"]);
  assert.equal(weeks.length, 6);
  assert.deepEqual(weeks[5], ["2026-11-30", null, null, null, null, null, null]);
  assert.equal(weeksOf("2024-02").flat().filter(Boolean).at(-1), "2024-02-29");
});

test("equity is the balance and what positions are worth while they are held", () => {
  const curve = [
    { ms: 0, micros: 100n },
    { ms: 30, micros: 90n },
  ];
  const holding = { symbol: "A", fromMs: 10, untilMs: 30, resultAt: (ticks) => ticks - 5n };
  const closeAt = (_symbol, ms) => (ms === 20 ? null : 8n);

  const points = equityCurve(curve, [holding], [0, 10, 20, 25, 30, 40], closeAt);

  assert.deepEqual(points.map(({ ms }) => ms), [0, 10, 25, 30, 40], "no price, no point");
  assert.deepEqual(points.map(({ micros }) => micros), [100n, 103n, 103n, 90n, 90n]);
});

test("a span is drawn with some hundreds of candles at most", () => {
  assert.deepEqual(intervalFor(60 * 60_000), ["1m", 60_000]);
  assert.deepEqual(intervalFor(7 * 86_400_000), ["1h", 3_600_000]);
  assert.deepEqual(intervalFor(400 * 86_400_000), ["1d", 86_400_000]);
});

test("what was held most often comes first", () => {
  assert.deepEqual(symbolsOf([{ symbol: "A" }, { symbol: "B" }, { symbol: "B" }]), ["B", "A"]);
});

test("long times are drawn by the days of the statement and end with the account as it is", () => {
  const now = Date.parse("2026-11-26T10:00:00Z");
  const days = [
    { date: "2026-11-10", closingBalance: "100", equity: "90.5" },
    { date: "2026-11-26", closingBalance: "120", equity: "125" },
  ];

  const points = pointsOfDays(days, { balance: "120", equity: "126" }, now);

  assert.deepEqual(points.equity.map(({ micros }) => micros), [90_500_000n, 125_000_000n, 126_000_000n]);
  assert.deepEqual(points.balance.map(({ micros }) => micros), [100_000_000n, 120_000_000n, 120_000_000n]);
  assert.deepEqual(points.equity.map(({ ms }) => ms), [Date.parse("2026-11-10T23:59:59Z"), now - 1000, now]);
});

test("what the statement says of a day stands in the curve in place of the picture", () => {
  const points = [
    { ms: 1000, micros: 1n },
    { ms: 2300, micros: 2n },
    { ms: 9000, micros: 3n },
  ];

  const curve = withDays(points, [
    { ms: 2000, micros: 20n },
    { ms: 5000, micros: 50n },
  ]);

  assert.deepEqual(curve.map(({ micros }) => micros), [1n, 20n, 50n, 3n]);
});
