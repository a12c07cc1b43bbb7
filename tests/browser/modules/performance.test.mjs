// The figures of the portfolio, worked out by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  balanceCurve,
  byDay,
  bySymbol,
  closingFigures,
  drawdown,
  ledgerFigures,
} from "../../../static/terminal/performance.js";

const closing = (symbol, pnl, commission, closedAt = "2026-11-26T10:00:00Z") => ({ symbol, pnl, commission, closedAt });
const CLOSINGS = [
  closing("BTCUSDT", "30", "1"),
  closing("BTCUSDT", "-10", "1"),
  closing("ETHUSDT", "5.5", "0.5"),
  closing("ETHUSDT", "0.25", "0.25", "2026-11-27T23:30:00Z"),
];
const usd = (number) => BigInt(number) * 1_000_000n;

test("results are counted after commission", () => {
  const figures = closingFigures(CLOSINGS);

  assert.equal(figures.count, 4);
  assert.equal(figures.wins, 2);
  assert.equal(figures.losses, 1);
  assert.equal(figures.net, usd(23));
  assert.equal(figures.winRateTenths, 500n);
  // 34 won, 11 lost: 3.09.
  assert.equal(figures.profitFactorHundredths, 309n);
  assert.equal(figures.expectancy, 5_750_000n);
  assert.equal(figures.best, usd(29));
  assert.equal(figures.worst, usd(-11));
});

test("without closings, or without losses, there is no rate", () => {
  assert.equal(closingFigures([]).winRateTenths, null);
  assert.equal(closingFigures([]).expectancy, null);
  assert.equal(closingFigures([CLOSINGS[0]]).profitFactorHundredths, null);
});

test("symbols are ordered by what they brought", () => {
  assert.deepEqual(
    bySymbol(CLOSINGS).map(({ symbol, net }) => [symbol, net]),
    [
      ["BTCUSDT", usd(18)],
      ["ETHUSDT", usd(5)],
    ],
  );
});

test("a day is the reader's", () => {
  assert.deepEqual([...byDay(CLOSINGS, 0).keys()], ["2026-11-26", "2026-11-27"]);
  // One hour east of UTC the last closing falls on the next day.
  assert.deepEqual([...byDay(CLOSINGS, -60).keys()], ["2026-11-26", "2026-11-28"]);
  assert.equal(byDay(CLOSINGS, 0).get("2026-11-26"), usd(23));
});

test("the curve is in the ledger's order, and money paid in or out is no drawdown", () => {
  const entry = (seq, balance) => ({ seq, balance, time: "2026-11-26T10:00:00Z" });
  const curve = balanceCurve([entry("12", "70"), entry("3", "100"), entry("7", "90")]);
  assert.deepEqual(curve.map(({ micros }) => micros), [usd(100), usd(90), usd(70)]);

  assert.deepEqual(drawdown(curve), { micros: usd(30), shareTenths: 300n });
  assert.deepEqual(drawdown(curve, [0n, 0n, usd(-20)]), { micros: usd(10), shareTenths: 100n });
  assert.deepEqual(drawdown([]), { micros: 0n, shareTenths: 0n });
});

test("the ledger is told apart by what it was for", () => {
  const entries = [
    { kind: "CashPosted", amount: "10000", postings: [{ ledger: "demo:client:1", amount: "10000" }] },
    { kind: "PositionOpened", amount: "-1.5", postings: [{ ledger: "demo:house:commission", amount: "1.5" }] },
    { kind: "SwapCharged", amount: "-0.2", postings: [{ ledger: "demo:house:swap", amount: "0.2" }] },
  ];

  assert.deepEqual(ledgerFigures(entries), {
    flows: usd(10_000),
    swap: -200_000n,
    total: 9_998_300_000n,
    commission: 1_500_000n,
  });
});
