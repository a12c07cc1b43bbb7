// How often prices reach the screen, and how a change is made to be seen. Tested by Node.
//
// An animation per cell would make the browser compute the style of every moving cell anew with each of its frames: a tint
// that is put on and taken away by class costs two changes a second.

// A step is a frame or three. What stands large on the screen is drawn in every other step, ten times a second; the rest takes
// turns in the steps between, so that no frame has to draw all that has moved.
const STEP_MS = 50;
const LANES = [0, 1, 0, 2];
// How long a tint stays, and how long after it began the next one may.
const TINT_MS = 400;
const TINT_AGAIN_MS = 1000;

/**
 * Return a function that takes rows of [symbol, ...] at any pace and hands the newest of each symbol to `apply`: lane 0
 * every 100 ms, lanes 1 and 2 every 200 ms each. `laneOf(symbol)` tells the lane.
 */
export function paced(apply, laneOf = () => 0) {
  const waiting = [new Map(), new Map(), new Map()];
  let [timer, step, steppedAt] = [0, 0, -STEP_MS];
  const take = () => {
    timer = 0;
    steppedAt = performance.now();
    const lane = waiting[LANES[step++ % LANES.length]];
    const rows = [...lane.values()];
    lane.clear();
    if (waiting.some(({ size }) => size)) timer = setTimeout(take, STEP_MS);
    if (rows.length) apply(rows);
  };
  return (rows) => {
    for (const row of rows) {
      const mine = waiting[laneOf(row[0])];
      // A symbol may have come from another lane, where an older row must not wait.
      for (const lane of waiting) if (lane !== mine) lane.delete(row[0]);
      mine.set(row[0], row);
    }
    timer ||= setTimeout(take, Math.max(0, steppedAt + STEP_MS - performance.now()));
  };
}

/** Tints cells whose price has moved; a cell is {move: signal of text, tintedAt: ms}. */
export class Tints {
  constructor() {
    this.tinted = new Set();
  }

  /** Say which way a cell has moved: its move becomes "up" or "down", with " tint" while that is fresh. */
  moved(cell, hasRisen, nowMs) {
    if (nowMs - cell.tintedAt > TINT_AGAIN_MS) {
      cell.tintedAt = nowMs;
      this.tinted.add(cell);
    }
    cell.move.value = (hasRisen ? "up" : "down") + (this.tinted.has(cell) ? " tint" : "");
  }

  /** Take the tint from the cells that had it long enough; somebody calls this a few times a second. */
  fade(nowMs) {
    for (const cell of this.tinted) {
      if (nowMs - cell.tintedAt < TINT_MS) continue;
      this.tinted.delete(cell);
      cell.move.value = cell.move.peek().replace(" tint", "");
    }
  }
}
