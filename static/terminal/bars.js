// Candles built from quotes as they arrive. Pure: no DOM, no signals, tested by Node.
//
// Prices are JavaScript numbers here and nowhere else: a bar is a picture, and the chart library draws numbers.
// No money is computed from one.

const BARS_MAX = 7200;

export class BarSeries {
  /** `seconds` is the length of one bar. */
  constructor(seconds) {
    this.seconds = seconds;
    this.bars = [];
  }

  /** Take in one price at `ms` (epoch) and return the bar that it changed; null if it belongs to a finished bar. */
  add(price, ms) {
    const time = Math.floor(ms / 1000 / this.seconds) * this.seconds;
    const last = this.bars.at(-1);
    if (last && time < last.time) return null;
    if (last && time === last.time) {
      last.high = Math.max(last.high, price);
      last.low = Math.min(last.low, price);
      last.close = price;
      return last;
    }
    // Opens at the former close, so that a quiet second leaves no gap in the picture.
    const open = last ? last.close : price;
    const bar = { time, open, high: Math.max(open, price), low: Math.min(open, price), close: price };
    this.bars.push(bar);
    if (this.bars.length > BARS_MAX) this.bars.shift();
    return bar;
  }
}
