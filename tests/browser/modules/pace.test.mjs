import assert from "node:assert/strict";
import { test } from "node:test";
import { Tints, paced } from "../../../static/terminal/pace.js";

const cellMake = () => {
  const move = { value: "", peek: () => move.value };
  return { move, tintedAt: -Infinity };
};

test("many frames become one, with the newest price of each symbol", async () => {
  const taken = [];
  await new Promise((resolve) => {
    const take = paced((rows) => {
      taken.push(rows);
      if (taken.length === 2) resolve();
    });
    take([["A", "1"]]);
    take([["A", "2"], ["B", "5"]]);
    // Later than the first hand-over: waits for the next.
    setTimeout(() => take([["B", "6"]]), 5);
  });

  assert.deepEqual(taken, [[["A", "2"], ["B", "5"]], [["B", "6"]]]);
});

test("what is less in sight comes in steps of its own, and a symbol that becomes the one in sight leaves nothing behind", async () => {
  const taken = [];
  const lanes = { A: 0, B: 1, C: 2 };
  await new Promise((resolve) => {
    const take = paced((rows) => {
      taken.push(rows.map(([symbol, bid]) => symbol + bid).join());
      if (taken.length === 3) resolve();
    }, (symbol) => lanes[symbol]);
    take([["B", "1"], ["A", "1"], ["C", "1"]]);
    lanes.C = 0;
    take([["C", "2"]]);
    lanes.C = 2;
    take([["C", "3"]]);
  });

  assert.deepEqual(taken, ["A1", "B1", "C3"]);
});

test("a change is tinted, keeps its direction when the tint fades, and is not tinted again at once", () => {
  const [tints, cell] = [new Tints(), cellMake()];

  tints.moved(cell, true, 0);
  assert.equal(cell.move.value, "up tint");
  tints.moved(cell, false, 100);
  assert.equal(cell.move.value, "down tint");
  tints.fade(399);
  assert.equal(cell.move.value, "down tint");
  tints.fade(400);
  assert.equal(cell.move.value, "down");
  tints.moved(cell, true, 500);
  assert.equal(cell.move.value, "up");
  tints.moved(cell, true, 1001);
  assert.equal(cell.move.value, "up tint");
});
