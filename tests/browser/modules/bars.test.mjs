// Candles that grow from quotes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BarSeries } from "../../../static/terminal/bars.js";

test("quotes of one second make one bar, the next second opens where it closed", () => {
  const series = new BarSeries(1);

  for (const [price, ms] of [
    [10, 5000],
    [12, 5200],
    [9, 5900],
    [11, 6000],
  ])
    series.add(price, ms);

  assert.deepEqual(series.bars, [
    { time: 5, open: 10, high: 12, low: 9, close: 9 },
    { time: 6, open: 9, high: 11, low: 9, close: 11 },
  ]);
});

test("a quote of a finished bar changes nothing", () => {
  const series = new BarSeries(60);
  series.add(10, 120_000);

  assert.equal(series.add(99, 119_999), null);

  assert.equal(series.bars.length, 1);
  assert.equal(series.bars[0].high, 10);
});

test("memory is bounded", () => {
  const series = new BarSeries(1);

  for (let second = 0; second < 8000; second += 1) series.add(1, second * 1000);

  assert.equal(series.bars.length, 7200);
  assert.equal(series.bars.at(-1).time, 7999);
});
