// The candles of one chart: history from the server, the newest one moved by what arrives. Pure: no DOM, no signals,
// tested by Node.
//
// Prices are JavaScript numbers here and nowhere else: a bar is a picture, and the chart library draws numbers.
// No money is computed from one.

/** Return a bar from a row of the API: [epoch ms, open, high, low, close, volume]. */
export function barFrom([ms, open, high, low, close, volume]) {
  return {
    time: Math.floor(Number(ms) / 1000),
    open: Number(open),
    high: Number(high),
    low: Number(low),
    close: Number(close),
    volume: Number(volume ?? 0),
  };
}

export class BarSeries {
  /** `seconds` is the length of one bar; 0 where the calendar decides it and only the server begins a new one. */
  constructor(seconds) {
    this.seconds = seconds;
    this.bars = [];
  }

  /** Put history before or over what is there. Bars of the same time are replaced by the newer word. */
  merge(bars) {
    const byTime = new Map(this.bars.map((bar) => [bar.time, bar]));
    for (const bar of bars) byTime.set(bar.time, bar);
    this.bars = [...byTime.values()].sort((a, b) => a.time - b.time);
  }

  /** Forget the bars before a time. */
  keepFrom(time) {
    this.bars = this.bars.filter((bar) => bar.time >= time);
  }

  /** Take in a whole bar; return it if it is the newest or a new one, null if it is older than that. */
  put(bar) {
    const last = this.bars.at(-1);
    if (last && bar.time < last.time) {
      this.merge([bar]);
      return null;
    }
    if (last && bar.time === last.time) this.bars[this.bars.length - 1] = bar;
    else this.bars.push(bar);
    return bar;
  }

  /** Take in one price at `ms` (epoch) and return the bar that it changed; null if it belongs to a finished bar. */
  add(price, ms) {
    const last = this.bars.at(-1);
    if (!this.seconds && !last) return null;
    const time = this.seconds ? Math.floor(ms / 1000 / this.seconds) * this.seconds : last.time;
    if (last && time < last.time) return null;
    if (last && time === last.time) {
      last.high = Math.max(last.high, price);
      last.low = Math.min(last.low, price);
      last.close = price;
      return last;
    }
    const bar = { time, open: price, high: price, low: price, close: price, volume: 0 };
    this.bars.push(bar);
    return bar;
  }
}
