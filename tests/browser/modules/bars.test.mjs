// Candles: history from the server, the newest moved by quotes and frames.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BarSeries, barFrom } from "../../../static/terminal/bars.js";

const bar = (time, close) => ({ time, open: close, high: close, low: close, close, volume: 0 });

test("a row of the interface becomes a bar", () => {
  assert.deepEqual(barFrom(["60000", "1.5", "3", "1", "2", "7"]), {
    time: 60,
    open: 1.5,
    high: 3,
    low: 1,
    close: 2,
    volume: 7,
  });
});

test("a past that is asked for again leaves what is newer", () => {
  const series = new BarSeries(60);
  series.merge([bar(60, 10), bar(120, 11), bar(180, 12)]);

  series.keepFrom(120);

  assert.deepEqual(series.bars.map(({ time }) => time), [120, 180]);
});

test("quotes move the newest bar and begin the next one", () => {
  const series = new BarSeries(60);
  series.merge([bar(60, 10)]);

  series.add(12, 61_000);
  series.add(9, 119_999);
  series.add(11, 120_000);

  assert.deepEqual(
    series.bars.map(({ time, open, high, low, close }) => [time, open, high, low, close]),
    [
      [60, 10, 12, 9, 9],
      [120, 11, 11, 11, 11],
    ],
  );
});

test("a bar of the calendar is moved by quotes and begun by the server alone", () => {
  const series = new BarSeries(0);
  assert.equal(series.add(10, 61_000), null);
  series.merge([bar(60, 10)]);

  series.add(12, 90 * 86_400_000);

  assert.deepEqual(series.bars.map(({ time, high, close }) => [time, high, close]), [[60, 12, 12]]);
});

test("a quote of a finished bar changes nothing", () => {
  const series = new BarSeries(60);
  series.add(10, 120_000);

  assert.equal(series.add(99, 119_999), null);

  assert.deepEqual(series.bars.map(({ high }) => high), [10]);
});

test("older history goes before what is there, and the newer word on a bar counts", () => {
  const series = new BarSeries(60);
  series.merge([bar(180, 3), bar(240, 4)]);

  series.merge([bar(60, 1), bar(120, 2), bar(180, 30)]);

  assert.deepEqual(series.bars.map(({ time, close }) => [time, close]), [
    [60, 1],
    [120, 2],
    [180, 30],
    [240, 4],
  ]);
});

test("a whole bar replaces the newest, is appended, or corrects an older one", () => {
  const series = new BarSeries(60);
  series.merge([bar(60, 1), bar(120, 2)]);

  assert.equal(series.put(bar(120, 5)).close, 5);
  assert.equal(series.put(bar(180, 6)).close, 6);
  assert.equal(series.put(bar(60, 7)), null);

  assert.deepEqual(series.bars.map(({ close }) => close), [7, 5, 6]);
});
