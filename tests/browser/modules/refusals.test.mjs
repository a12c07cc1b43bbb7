// Refusals as people read them, in their language.

import assert from "node:assert/strict";
import { test } from "node:test";
import { toldOf, wordsOf } from "../../../static/terminal/refusals.js";

const SENTENCES = {
  QUOTE_STALE: ["der letzte Preis von {symbol} ist {quoteAge} s alt", "{symbol} hat noch keinen Preis"],
  MALFORMED: ["der Befehl war nicht lesbar"],
};

test("the most telling sentence whose numbers are known is told, without idle zeros", () => {
  const data = { symbol: "BTCUSDT", quoteAge: "7.500000", quoteAgeMax: "5.000000" };
  assert.equal(wordsOf(SENTENCES, "QUOTE_STALE", data), "Der letzte Preis von BTCUSDT ist 7.5 s alt");
  assert.equal(wordsOf(SENTENCES, "QUOTE_STALE", { symbol: "ETHUSDT" }), "ETHUSDT hat noch keinen Preis");
  assert.equal(wordsOf(SENTENCES, "MALFORMED", undefined), "Der Befehl war nicht lesbar");
});

test("what the page has no words for keeps those of the server, as a sentence begins", () => {
  assert.equal(wordsOf(SENTENCES, "SOMETHING_NEW", {}), null);
  assert.equal(wordsOf(SENTENCES, "QUOTE_STALE", {}), null);
  assert.equal(wordsOf({}, "MALFORMED", {}), null);
  assert.equal(toldOf({ code: "INVALID", message: "quantity: a number" }), "Quantity: a number");
  assert.equal(toldOf({ code: "INVALID", message: "stopLoss: a number" }), "Stop loss: a number");
  assert.equal(toldOf({}), null);
});

test("whole numbers keep their zeros", () => {
  assert.equal(wordsOf({ A: ["{n}"] }, "A", { n: "100" }), "100");
  assert.equal(wordsOf({ A: ["{n}"] }, "A", { n: "100.00" }), "100");
});

test("thousands are set apart, but not those of names", () => {
  const sentences = { A: ["the stop price {stopPrice} has been passed (bid {bid})"], B: ["account {account}, order {orderId}"] };
  assert.equal(wordsOf(sentences, "A", { stopPrice: "77512.10", bid: "-0.5" }), "The stop price 77,512.1 has been passed (bid \u22120.5)");
  assert.equal(wordsOf(sentences, "B", { account: "10012", orderId: "10012-3" }), "Account 10012, order 10012-3");
});

test("money is told in cents, and what was too much never looks like enough", () => {
  const sentences = { A: ["free margin must be at least {required} USD, was {freeMargin} USD"] };
  const told = wordsOf(sentences, "A", { required: "15503.380001", freeMargin: "15503.380000" });
  assert.equal(told, "Free margin must be at least 15,503.39 USD, was 15,503.38 USD");
  assert.match(wordsOf(sentences, "A", { required: "0", freeMargin: "-1.5" }), /0\.00 USD, was \u22121\.50 USD$/);
});
