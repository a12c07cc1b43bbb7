// The indicators on the chart: which there are, their series, and how they follow the bars.

import { effect } from "@preact/signals";
import { LineSeries, LineStyle } from "lightweight-charts";
import { bollinger, exponentialAverage, movingAverage, relativeStrength } from "./indicators.js";
import { indicators } from "./prefs.js";

const RSI_PANE = 1;

/** Id -> name, colour, pane and lines. `of` returns a list of lines for the bars. */
export const STUDIES = {
  ma: { name: "MA 20", tones: ["--study-1"], of: (bars) => [movingAverage(bars, 20)] },
  ema: { name: "EMA 50", tones: ["--study-2"], of: (bars) => [exponentialAverage(bars, 50)] },
  bollinger: {
    name: "Bollinger 20, 2",
    tones: ["--study-3", "--study-3", "--study-3"],
    of: (bars) => {
      const { middle, upper, lower } = bollinger(bars, 20, 2);
      return [upper, middle, lower];
    },
  },
  rsi: { name: "RSI 14", tones: ["--study-1"], pane: RSI_PANE, levels: [30, 70], of: (bars) => [relativeStrength(bars, 14)] },
};

export class Studies {
  constructor({ chart, colour }) {
    Object.assign(this, { chart, colour });
    this.bars = [];
    // Id -> its series on the chart.
    this.shown = new Map();
    effect(() => {
      const wanted = new Set(indicators.value);
      for (const id of this.shown.keys()) if (!wanted.has(id)) this.remove(id);
      for (const id of wanted) if (STUDIES[id] && !this.shown.has(id)) this.add(id);
    });
  }

  add(id) {
    const { tones, pane = 0, levels = [] } = STUDIES[id];
    const series = tones.map((tone) =>
      this.chart.addSeries(
        LineSeries,
        {
          color: this.colour(tone),
          lineWidth: 1,
          priceLineVisible: false,
          lastValueVisible: pane !== 0,
          crosshairMarkerVisible: false,
          // An index from 0 to 100 keeps its whole scale.
          ...(pane ? { autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 100 } }), priceFormat: { type: "price", precision: 0, minMove: 1 } } : {}),
        },
        pane,
      ),
    );
    for (const price of levels) {
      series[0].createPriceLine({ price, color: this.colour("--line"), lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: false });
    }
    this.shown.set(id, series);
    if (pane) this.chart.panes()[pane]?.setStretchFactor(0.28);
    this.fill(id);
  }

  remove(id) {
    for (const series of this.shown.get(id)) this.chart.removeSeries(series);
    this.shown.delete(id);
  }

  fill(id) {
    STUDIES[id].of(this.bars).forEach((line, index) => this.shown.get(id)[index].setData(line));
  }

  /** Draw all of them anew for these bars (times as the chart has them). */
  setBars(bars) {
    this.bars = bars;
    for (const id of this.shown.keys()) this.fill(id);
  }

  /** Follow the newest bar. */
  follow(bars) {
    this.bars = bars;
    for (const [id, series] of this.shown) {
      STUDIES[id].of(bars).forEach((line, index) => line.length && series[index].update(line.at(-1)));
    }
  }

  restyle() {
    for (const [id, series] of this.shown) {
      series.forEach((one, index) => one.applyOptions({ color: this.colour(STUDIES[id].tones[index]) }));
    }
  }
}
