// Refusals in the reader's language.

import assert from "node:assert/strict";
import { test } from "node:test";
import { wordsOf } from "../../../static/terminal/refusals.js";

const SENTENCES = {
  QUOTE_STALE: ["der letzte Preis von {symbol} ist {quoteAge} s alt", "{symbol} hat noch keinen Preis"],
  MALFORMED: ["der Befehl war nicht lesbar"],
};

test("the most telling sentence whose numbers are known is told, without idle zeros", () => {
  const data = { symbol: "BTCUSDT", quoteAge: "7.500000", quoteAgeMax: "5.000000" };
  assert.equal(wordsOf(SENTENCES, "QUOTE_STALE", data), "der letzte Preis von BTCUSDT ist 7.5 s alt");
  assert.equal(wordsOf(SENTENCES, "QUOTE_STALE", { symbol: "ETHUSDT" }), "ETHUSDT hat noch keinen Preis");
  assert.equal(wordsOf(SENTENCES, "MALFORMED", undefined), "der Befehl war nicht lesbar");
});

test("what the page has no words for keeps those of the server", () => {
  assert.equal(wordsOf(SENTENCES, "SOMETHING_NEW", {}), null);
  assert.equal(wordsOf(SENTENCES, "QUOTE_STALE", {}), null);
  assert.equal(wordsOf({}, "MALFORMED", {}), null);
});

test("whole numbers keep their zeros", () => {
  assert.equal(wordsOf({ A: ["{n}"] }, "A", { n: "100" }), "100");
  assert.equal(wordsOf({ A: ["{n}"] }, "A", { n: "100.00" }), "100");
});
