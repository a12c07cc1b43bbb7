// Lines computed from candles. Pure: no DOM, no signals, tested by Node. Numbers are JavaScript's, since these are
// pictures for the chart and no money is computed from them.

/** Simple moving average of closes: [{time, value}], from the first bar that has `length` bars. */
export function movingAverage(bars, length) {
  const line = [];
  let sum = 0;
  bars.forEach((bar, index) => {
    sum += bar.close;
    if (index >= length) sum -= bars[index - length].close;
    if (index >= length - 1) line.push({ time: bar.time, value: sum / length });
  });
  return line;
}

/** Exponential moving average of closes; begins with the simple average of the first `length` bars. */
export function exponentialAverage(bars, length) {
  if (bars.length < length) return [];
  const weight = 2 / (length + 1);
  let value = bars.slice(0, length).reduce((sum, bar) => sum + bar.close, 0) / length;
  const line = [{ time: bars[length - 1].time, value }];
  for (const bar of bars.slice(length)) {
    value += weight * (bar.close - value);
    line.push({ time: bar.time, value });
  }
  return line;
}

/** Relative strength index after Wilder, 0 to 100. */
export function relativeStrength(bars, length) {
  if (bars.length <= length) return [];
  const line = [];
  let gain = 0;
  let loss = 0;
  for (let index = 1; index < bars.length; index += 1) {
    const move = bars[index].close - bars[index - 1].close;
    const [up, down] = [Math.max(move, 0), Math.max(-move, 0)];
    if (index <= length) {
      gain += up / length;
      loss += down / length;
    } else {
      gain = (gain * (length - 1) + up) / length;
      loss = (loss * (length - 1) + down) / length;
    }
    // Without any loss the ratio is infinite; a market that stands still is neither strong nor weak.
    const value = loss === 0 ? (gain === 0 ? 50 : 100) : 100 - 100 / (1 + gain / loss);
    if (index >= length) line.push({ time: bars[index].time, value });
  }
  return line;
}

/** Bollinger bands: average and the lines `width` standard deviations above and below it. */
export function bollinger(bars, length, width) {
  const bands = { middle: movingAverage(bars, length), upper: [], lower: [] };
  bands.middle.forEach(({ time, value }, index) => {
    const window = bars.slice(index, index + length);
    const variance = window.reduce((sum, bar) => sum + (bar.close - value) ** 2, 0) / length;
    const deviation = width * Math.sqrt(variance);
    bands.upper.push({ time, value: value + deviation });
    bands.lower.push({ time, value: value - deviation });
  });
  return bands;
}
