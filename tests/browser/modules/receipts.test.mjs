// Receipts in words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sentenceOf, spaced, stepsOf } from "../../../static/terminal/receipts.js";

const CLOSED = {
  type: "PositionClosed",
  quantity: "0.10000",
  price: "77512.1",
  closeReason: "stop_loss",
  pnl: "-12.340000",
  commission: "1.5",
};

test("a closing says how much, where, by what and with which result", () => {
  assert.equal(
    sentenceOf(CLOSED),
    "0.1 closed at 77,512.1 by stop loss, result \u221212.34 USD, commission 1.5 USD.",
  );
});

test("an event without words of its own keeps its name", () => {
  assert.equal(sentenceOf({ type: "SomethingNew" }), "SomethingNew");
});

test("a step has the rule, both quotes, the inputs and its place in the journal", () => {
  const quote = { bid: "1.0", ask: "2.0", time: "2026-11-26T10:00:00.500Z", source: "simulator" };
  const [step] = stepsOf({
    receipts: [
      {
        event: CLOSED,
        time: "2026-11-26T10:00:01Z",
        rule: "T1",
        ruleText: "A stop fills at the first price.",
        quote,
        previousQuote: quote,
        inputs: { marginLevel: "49.9900", threshold: null },
        journal: { number: "7", shard: "0", chainHash: "ab".repeat(32) },
      },
    ],
  });

  assert.deepEqual(step.facts, [
    ["Rule", "T1: A stop fills at the first price."],
    ["Decided on", "bid 1, ask 2 (simulator, 10:00:00.500 UTC)"],
    ["The quote before", "bid 1, ask 2 (simulator, 10:00:00.500 UTC)"],
    ["Margin level", "49.99"],
    ["Threshold", "–"],
    ["Journal", `entry 7 of shard 0, chain ${"ab".repeat(8)}…`],
  ]);
  assert.equal(spaced("freeMarginAfter"), "Free margin after");
});
