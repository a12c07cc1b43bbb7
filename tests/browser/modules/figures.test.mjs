// The figures of the landing page in words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, latency, wholeMoney } from "../../../static/js/figures.js";

test("a latency never looks better than it was measured", () => {
  assert.equal(latency("951"), "0.96 ms");
  assert.equal(latency("950"), "0.95 ms");
  assert.equal(latency("9999"), "10.00 ms");
  assert.equal(latency("10001"), "11 ms");
  assert.equal(latency("1500000"), "1,500 ms");
  assert.equal(latency(null), "\u2013");
});

test("a duration shows its two largest units", () => {
  assert.equal(duration("0"), "0 s");
  assert.equal(duration("59"), "59 s");
  assert.equal(duration("61"), "1 min 1 s");
  assert.equal(duration("90061"), "1 d 1 h");
  assert.equal(duration("86400"), "1 d");
});

test("money without cents is cut, not rounded up", () => {
  assert.equal(wholeMoney("1234567.999999"), "1,234,567");
  assert.equal(wholeMoney("0"), "0");
});
