// Indicators against values worked out by hand or published with their method.

import assert from "node:assert/strict";
import { test } from "node:test";
import { bollinger, exponentialAverage, movingAverage, relativeStrength } from "../../../static/terminal/indicators.js";

const bars = (closes) => closes.map((close, index) => ({ time: index, close }));
const near = (actual, expected) => assert.ok(Math.abs(actual - expected) < 0.01, `${actual} is not ${expected}`);

test("averages begin with the first whole window", () => {
  assert.deepEqual(movingAverage(bars([1, 2, 3, 4, 5]), 3), [
    { time: 2, value: 2 },
    { time: 3, value: 3 },
    { time: 4, value: 4 },
  ]);
  assert.deepEqual(movingAverage(bars([1, 2]), 3), []);
});

test("the exponential average starts from the simple one", () => {
  assert.deepEqual(exponentialAverage(bars([1, 2, 3, 5]), 3), [
    { time: 2, value: 2 },
    { time: 3, value: 3.5 },
  ]);
  assert.deepEqual(exponentialAverage(bars([1]), 3), []);
});

test("strength is Wilder's", () => {
  // The closes that textbooks use for RSI 14.
  const closes = [
    44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.1, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.0, 46.03,
  ];
  const line = relativeStrength(bars(closes), 14);

  assert.deepEqual(line.map(({ time }) => time), [14, 15, 16]);
  near(line[0].value, 70.46);
  near(line[1].value, 66.25);
  near(line[2].value, 66.48);
});

test("a market that only rises is at 100, one that stands still at 50", () => {
  assert.equal(relativeStrength(bars([1, 2, 3, 4]), 2).at(-1).value, 100);
  assert.equal(relativeStrength(bars([1, 1, 1, 1]), 2).at(-1).value, 50);
});

test("bands lie two deviations around the average", () => {
  const { upper, middle, lower } = bollinger(bars([2, 4, 4, 4, 5, 5, 7, 9]), 8, 2);

  assert.deepEqual([lower[0].value, middle[0].value, upper[0].value], [1, 5, 9]);
});
