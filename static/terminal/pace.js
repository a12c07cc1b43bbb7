// How often prices reach the screen, and how a change is made to be seen. Tested by Node.
//
// An animation per cell would make the browser compute the style of every moving cell anew with each of its frames: a tint
// that is put on and taken away by class costs two changes a second.

const EVERY_MS = 100;
// How long a tint stays, and how long after it began the next one may.
const TINT_MS = 400;
const TINT_AGAIN_MS = 1000;

/**
 * Return a function that takes rows of [symbol, ...] at any pace and hands the newest of each symbol to `apply`, at most
 * every `everyMs`.
 */
export function paced(apply, everyMs = EVERY_MS) {
  const waiting = new Map();
  let timer = 0;
  let appliedAt = -everyMs;
  const flush = () => {
    timer = 0;
    appliedAt = performance.now();
    const rows = [...waiting.values()];
    waiting.clear();
    apply(rows);
  };
  return (rows) => {
    for (const row of rows) waiting.set(row[0], row);
    timer ||= setTimeout(flush, Math.max(0, appliedAt + everyMs - performance.now()));
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
