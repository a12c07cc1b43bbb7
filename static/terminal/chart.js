// The chart of one symbol: candles of the bid built from the quotes that arrive, the ask, and lines of open positions.

import { effect, signal } from "@preact/signals";
import { CandlestickSeries, CrosshairMode, LineStyle, createChart } from "lightweight-charts";
import { BarSeries } from "./bars.js";
import { clock, trimZeros } from "./format.js";
import { html } from "./html.js";
import { ask, instrument, positions, quoteOf, symbol } from "./store.js";

const INTERVALS = [
  [1, "1s"],
  [60, "1m"],
];
const interval = signal(1);
const startedAt = signal("");
// Symbol -> seconds -> bars; symbols once looked at go on being recorded, so that coming back shows no gap.
const recordings = new Map();
// The library writes times as UTC; people read their own clock.
const toLocalSeconds = (time) => time - new Date(time * 1000).getTimezoneOffset() * 60;

function recordingOf(name, onBar) {
  let recording = recordings.get(name);
  if (!recording) {
    recording = {
      startedAt: new Date().toISOString(),
      bars: new Map(INTERVALS.map(([seconds]) => [seconds, new BarSeries(seconds)])),
    };
    recordings.set(name, recording);
    const quote = quoteOf(name);
    effect(() => {
      if (!quote.bid.value) return;
      for (const [seconds, series] of recording.bars) {
        const bar = series.add(Number(quote.bid.value), Date.now());
        if (bar) onBar(name, seconds, bar);
      }
    });
  }
  return recording;
}

/** Return a colour of the style sheet as the canvas understands it. The properties are registered, so they resolve. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function themeOptions() {
  const line = colour("--line");
  return {
    layout: { background: { color: colour("--panel") }, textColor: colour("--muted") },
    grid: { vertLines: { color: colour("--grid") }, horzLines: { color: colour("--grid") } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line },
  };
}

function seriesColours() {
  const [up, down] = [colour("--gain"), colour("--loss")];
  return {
    upColor: up,
    downColor: down,
    borderUpColor: up,
    borderDownColor: down,
    wickUpColor: up,
    wickDownColor: down,
  };
}

/** Return the lines that a position draws: where it began and where it would end. */
function positionLines(position) {
  const entry = {
    price: Number(position.entry),
    color: colour("--accent"),
    title: `${position.direction} ${trimZeros(position.quantity)}`,
  };
  const stops = [
    [position.stopLoss, "--loss", "stop loss"],
    [position.takeProfit, "--gain", "take profit"],
  ];
  const ends = stops
    .filter(([at]) => at)
    .map(([at, name, title]) => ({ price: Number(at), color: colour(name), title }));
  return [entry, ...ends].map((line) => ({
    ...line,
    lineWidth: 1,
    lineStyle: LineStyle.Dashed,
    axisLabelVisible: true,
  }));
}

// The first seconds of a quiet market would fill the height with one tick: never zoom in further than this share.
const RANGE_SHARE_MIN = 0.001;

/** Widen the price range that the library would choose, if it is too narrow to mean anything. */
function calmRange(original) {
  const info = original();
  if (!info?.priceRange) return info;
  const { minValue, maxValue } = info.priceRange;
  const missing = ((minValue + maxValue) / 2) * RANGE_SHARE_MIN - (maxValue - minValue);
  if (missing <= 0) return info;
  return { ...info, priceRange: { minValue: minValue - missing / 2, maxValue: maxValue + missing / 2 } };
}

/** Draw into `element` and follow the store. */
export function chartMount(element) {
  const chart = createChart(element, {
    autoSize: true,
    // The logo with its link stands in the page: the library's own needs an inline style, which our policy refuses.
    layout: { attributionLogo: false, fontFamily: getComputedStyle(element).fontFamily, fontSize: 11 },
    crosshair: { mode: CrosshairMode.Normal },
    timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 6, barSpacing: 8, minBarSpacing: 1 },
    rightPriceScale: { scaleMargins: { top: 0.15, bottom: 0.15 } },
  });
  chart.applyOptions(themeOptions());
  const series = chart.addSeries(CandlestickSeries, {
    ...seriesColours(),
    priceLineWidth: 1,
    autoscaleInfoProvider: calmRange,
  });
  const askLine = series.createPriceLine({
    price: 0,
    color: colour("--muted"),
    lineWidth: 1,
    lineStyle: LineStyle.Dotted,
    lineVisible: false,
    axisLabelVisible: false,
    title: "ask",
  });
  let lines = [];

  const onBar = (name, seconds, bar) => {
    if (name !== symbol.peek() || seconds !== interval.peek()) return;
    series.update({ ...bar, time: toLocalSeconds(bar.time) });
  };
  // Another symbol or interval: other bars, another price scale.
  effect(() => {
    const known = instrument.value;
    if (!known) return;
    const precision = known.priceDecimals;
    series.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    const recording = recordingOf(known.symbol, onBar);
    const bars = recording.bars.get(interval.value).bars;
    series.setData(bars.map((bar) => ({ ...bar, time: toLocalSeconds(bar.time) })));
    chart.timeScale().applyOptions({ secondsVisible: interval.value < 60 });
    chart.timeScale().scrollToRealTime();
    startedAt.value = clock(recording.startedAt);
    element.setAttribute("aria-label", `Candles of ${known.symbol}`);
  });
  effect(() => {
    askLine.applyOptions({ price: Number(ask.value || 0), lineVisible: Boolean(ask.value) });
  });
  const drawLines = () => {
    for (const line of lines) series.removePriceLine(line);
    const here = positions.value.filter((position) => position.symbol === symbol.value);
    lines = here.flatMap(positionLines).map((line) => series.createPriceLine(line));
  };
  effect(drawLines);
  document.documentElement.addEventListener("themechange", () => {
    chart.applyOptions(themeOptions());
    series.applyOptions(seriesColours());
    askLine.applyOptions({ color: colour("--muted") });
    drawLines();
  });
}

export function ChartHead() {
  return html`
    <div class="intervals" role="group" aria-label="Interval">
      ${INTERVALS.map(
        ([seconds, name]) =>
          html`<button
            key=${name}
            type="button"
            class="tab"
            aria-pressed=${interval.value === seconds}
            onClick=${() => (interval.value = seconds)}
          >
            ${name}
          </button>`,
      )}
    </div>
    <span class="muted chart-note">Live bid since ${startedAt}</span>
  `;
}
