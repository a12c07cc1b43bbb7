// The chart of one symbol: candles from the server, the newest one moved by what arrives, volume, the ask, and older bars as
// one scrolls back. Lines of positions and orders are drawn by lines.js, indicators by studies.js.

import { computed, effect, signal } from "@preact/signals";
import { CandlestickSeries, CrosshairMode, HistogramSeries, LineSeries, LineStyle, createChart } from "lightweight-charts";
import { Refusal, candlesGet } from "./api.js";
import { BarSeries, barFrom } from "./bars.js";
import { Choice } from "./fields.js";
import { grouped } from "./format.js";
import { html } from "./html.js";
import { ChartLines } from "./lines.js";
import { chartType, indicators, interval } from "./prefs.js";
import { STUDIES, Studies } from "./studies.js";
import { ask, heartbeat, instrument, positions, quoteOf, symbol } from "./store.js";

export const INTERVALS = [
  ["1m", 60],
  ["5m", 300],
  ["15m", 900],
  ["30m", 1800],
  ["1h", 3600],
  ["4h", 14_400],
  ["1d", 86_400],
  // Weeks begin on Monday and months have no fixed length.
  ["1w", 0],
  ["1M", 0],
];
const SECONDS = new Map(INTERVALS);
const PAGE = 500;
// A canvas is drawn anew as a whole: five times a second is live enough for the eye. Not a multiple of the pace of prices, so
// that it has a frame of its own between two of theirs.
const DRAW_MS = 150;
// Bars that would fit right of the newest one: labels of lines stand there, where a screen is wide enough to spare the room.
const [ROOM, ROOM_NARROW, NARROW_PIXELS] = [14, 8, 600];
// Distance of two bars: the usual one, and how wide it may become where a history is shorter than the screen.
const [SPACING, SPACING_MAX] = [8, 16];
// Fewer bars than this left of the screen: older ones are fetched.
const AHEAD = 60;
// Charts that are told to ask again do so within this time, so that a server does not hear them all at once.
const RELOAD_MS = 1500;
const note = signal("");
const legend = signal(null);

// The library writes times as UTC; people read their own clock.
const toLocal = (time) => time - new Date(time * 1000).getTimezoneOffset() * 60;
const drawnBar = (bar) => ({ ...bar, time: toLocal(bar.time) });

// Asking for a computed style makes the browser lay out what has changed since: once per theme is enough.
const colours = new Map();

/** Return a colour of the style sheet as the canvas understands it. The properties are registered, so they resolve. */
function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}

function themeOptions() {
  const line = colour("--line");
  return {
    layout: { background: { color: colour("--panel") }, textColor: colour("--muted"), panes: { separatorColor: line, separatorHoverColor: line } },
    grid: { vertLines: { color: colour("--grid") }, horzLines: { color: colour("--grid") } },
    rightPriceScale: { borderColor: line },
    timeScale: { borderColor: line },
  };
}

function candleColours() {
  const [up, down] = [colour("--gain"), colour("--loss")];
  return { upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down };
}

// The first minutes of a quiet market would fill the height with one tick: never zoom in further than this share.
const RANGE_SHARE_MIN = 0.0006;

// Lines of positions that are no further away than this share of the price are kept in sight.
const SIGHT_SHARE = 0.01;

/** Return the prices of positions and their stops that should be in sight, as the chart counts. */
function pricesInSight() {
  const now = Number(quoteOf(symbol.peek()).bid.peek());
  return positions
    .peek()
    .filter((row) => row.symbol === symbol.peek())
    .flatMap((row) => [row.entry, row.stopLoss, row.takeProfit])
    .filter(Boolean)
    .map(Number)
    .filter((price) => Math.abs(price - now) <= now * SIGHT_SHARE);
}

/** Widen the price range that the library would choose: for lines in sight, and if it is too narrow to mean anything. */
function calmRange(original) {
  const info = original();
  if (!info?.priceRange) return info;
  const prices = pricesInSight();
  const minValue = Math.min(info.priceRange.minValue, ...prices);
  const maxValue = Math.max(info.priceRange.maxValue, ...prices);
  const missing = ((minValue + maxValue) / 2) * RANGE_SHARE_MIN - (maxValue - minValue);
  if (missing <= 0) return { ...info, priceRange: { minValue, maxValue } };
  return { ...info, priceRange: { minValue: minValue - missing / 2, maxValue: maxValue + missing / 2 } };
}

class Chart {
  constructor(element, line) {
    this.element = element;
    // The live line: subscribe and unsubscribe channels.
    this.line = line;
    this.chart = createChart(element, {
      autoSize: true,
      // The logo with its link stands in the page: the library's own needs an inline style, which our policy refuses.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(element).fontFamily, fontSize: 11 },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: element.clientWidth < NARROW_PIXELS ? ROOM_NARROW : ROOM, barSpacing: SPACING, minBarSpacing: 1 },
      rightPriceScale: { scaleMargins: { top: 0.1, bottom: 0.22 } },
    });
    this.chart.applyOptions(themeOptions());
    const common = { priceLineWidth: 1, autoscaleInfoProvider: calmRange };
    this.candles = this.chart.addSeries(CandlestickSeries, { ...common, ...candleColours() });
    this.closes = this.chart.addSeries(LineSeries, { ...common, color: colour("--accent"), lineWidth: 2, visible: false, lastValueVisible: false, priceLineVisible: false });
    this.volume = this.chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.askLine = this.candles.createPriceLine({ price: 0, color: colour("--muted"), lineWidth: 1, lineStyle: LineStyle.Dotted, lineVisible: false, axisLabelVisible: false, title: "ask" });
    this.studies = new Studies({ chart: this.chart, colour });
    this.lines = new ChartLines({ chart: this.chart, series: this.candles, element, colour });
    this.bars = new BarSeries(60);
    this.loading = null;
    this.isOldest = false;
    this.channel = "";
    this.isServed = false;
    // Whether bars are further apart than usual, to fill the screen.
    this.isWidened = false;
    // Bars that wait to be drawn, by time.
    this.changed = new Map();
    this.timer = 0;
    this.reloading = 0;
    this.follow();
  }

  follow() {
    // Known or not: that it is halted now draws nothing anew.
    const isKnown = computed(() => Boolean(instrument.value));
    effect(() => this.show(symbol.value, interval.value, isKnown.value));
    effect(() => ask.value && this.drawSoon());
    effect(() => this.quote(quoteOf(symbol.value).bid.value));
    effect(() => {
      const isLine = chartType.value === "line";
      this.closes.applyOptions({ visible: isLine });
      const clear = "rgba(0,0,0,0)";
      const none = { upColor: clear, downColor: clear, borderUpColor: clear, borderDownColor: clear, wickUpColor: clear, wickDownColor: clear };
      this.candles.applyOptions(isLine ? none : candleColours());
      this.drawCloses();
    });
    effect(() => {
      const _beat = heartbeat.value;
      if (this.isMoved && this.studies.shown.size) this.studies.follow(this.bars.bars.map(drawnBar));
      this.isMoved = false;
    });
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < AHEAD) this.older();
    });
    this.chart.subscribeCrosshairMove(({ time, seriesData }) => {
      legend.value = time ? (seriesData.get(this.candles) ?? null) : null;
    });
    document.documentElement.addEventListener("themechange", () => this.restyle());
  }

  restyle() {
    colours.clear();
    this.chart.applyOptions(themeOptions());
    if (chartType.value === "candles") this.candles.applyOptions(candleColours());
    this.closes.applyOptions({ color: colour("--accent") });
    this.askLine.applyOptions({ color: colour("--muted") });
    this.studies.restyle();
    this.lines.restyle();
    this.drawAll();
  }

  /** Another symbol or interval: other bars, another price scale, another channel. */
  show(name, id, isKnown) {
    if (!isKnown) return;
    const precision = instrument.peek().priceDecimals;
    const priceFormat = { type: "price", precision, minMove: 10 ** -precision };
    this.candles.applyOptions({ priceFormat });
    this.closes.applyOptions({ priceFormat });
    this.loading?.abort();
    this.loading = null;
    this.isServed = this.isOldest = false;
    this.bars = new BarSeries(SECONDS.get(id) ?? 60);
    this.drawAll();
    if (this.channel) this.line.unsubscribe([this.channel]);
    this.channel = `candles:${name}:${id}`;
    this.line.subscribe([this.channel]);
    this.element.setAttribute("aria-label", `Candles of ${name}, ${id}`);
    this.load().then(() => {
      this.fill();
      this.chart.timeScale().scrollToRealTime();
    });
  }

  /** Draw a history that is shorter than the screen wider, as far as candles still look like candles. */
  fill() {
    const scale = this.chart.timeScale();
    const count = this.bars.bars.length;
    if (!count) return;
    const fitting = scale.width() / (count + scale.options().rightOffset);
    const isShort = fitting > SPACING;
    // Whoever has zoomed keeps that, but for what is done here.
    if (isShort || this.isWidened) scale.applyOptions({ barSpacing: Math.max(SPACING, Math.min(fitting, SPACING_MAX)) });
    this.isWidened = isShort;
  }

  /** Fetch the newest page, or the one before what is there; anew: instead of it. */
  async load(endTime, isAnew = false) {
    if (this.loading) return;
    const mine = (this.loading = new AbortController());
    note.value = "Loading…";
    try {
      const rows = await candlesGet({ symbol: symbol.peek(), interval: interval.peek(), limit: PAGE, endTime, signal: mine.signal });
      if (this.loading !== mine) return;
      const range = this.chart.timeScale().getVisibleLogicalRange();
      const before = this.bars.bars.length;
      const page = rows.map(barFrom);
      if (isAnew) this.bars.keepFrom(page.at(-1)?.time ?? 0);
      // What has come by the line meanwhile is the newer word.
      this.bars.merge([...page, ...(isAnew ? this.bars.bars : [])]);
      const added = this.bars.bars.length - before;
      this.isOldest = rows.length < PAGE || (!isAnew && added === 0);
      this.drawAll();
      if (endTime && range) this.chart.timeScale().setVisibleLogicalRange({ from: range.from + added, to: range.to + added });
      note.value = this.bars.bars.length ? "" : "No candles yet: they begin with the next price";
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Refusal || error instanceof TypeError)) throw error;
      note.value = "No history: candles since you opened this page";
      this.isOldest = true;
    } finally {
      if (this.loading === mine) this.loading = null;
    }
  }

  older() {
    const first = this.bars.bars[0];
    if (first && !this.isOldest && !this.loading) this.load(first.time * 1000 - 1);
  }

  drawAll() {
    this.changed.clear();
    const bars = this.bars.bars.map(drawnBar);
    this.candles.setData(bars);
    this.drawCloses();
    this.volume.setData(bars.map((bar) => this.volumeOf(bar)));
    this.studies.setBars(bars);
    this.element.dataset.bars = String(bars.length);
  }

  /** Draw the line of closes; while it is not wanted it has no points to keep. */
  drawCloses() {
    const bars = chartType.peek() === "line" ? this.bars.bars : [];
    this.closes.setData(bars.map(({ time, close }) => ({ time: toLocal(time), value: close })));
  }

  volumeOf({ time, open, close, volume }) {
    return { time, value: volume, color: colour(close >= open ? "--gain-soft" : "--loss-soft") };
  }

  drawSoon(bar) {
    if (bar) this.changed.set(bar.time, bar);
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.drawNewest();
    }, DRAW_MS);
  }

  /** Draw the bars that have changed, oldest first as the library wants them, and the ask. */
  drawNewest() {
    for (const bar of [...this.changed.values()].sort((a, b) => a.time - b.time)) {
      const drawn = drawnBar(bar);
      this.candles.update(drawn);
      if (chartType.peek() === "line") this.closes.update({ time: drawn.time, value: drawn.close });
      this.volume.update(this.volumeOf(drawn));
      this.isMoved = true;
    }
    this.changed.clear();
    this.askLine.applyOptions({ price: Number(ask.peek() || 0), lineVisible: Boolean(ask.peek()) });
    this.element.dataset.bars = String(this.bars.bars.length);
  }

  /** Take in the server's word on the newest candles, and that the past has changed. */
  candle(frame) {
    for (const [name, id, ...row] of frame.d) {
      if (`candles:${name}:${id}` !== this.channel) continue;
      this.isServed = true;
      const bar = barFrom(row);
      if (this.bars.put(bar)) this.drawSoon(bar);
      else this.drawAll();
    }
    if (frame.again?.some(([name, id]) => `candles:${name}:${id}` === this.channel)) this.reloadSoon();
  }

  /** Ask for the past again: it has come in, or is that of other prices. Not at once, since every open chart has been told. */
  reloadSoon() {
    clearTimeout(this.reloading);
    const { channel } = this;
    this.reloading = setTimeout(() => {
      if (channel !== this.channel) return;
      this.loading?.abort();
      this.loading = null;
      const scale = this.chart.timeScale();
      const shown = scale.getVisibleRange();
      const isAtEnd = scale.scrollPosition() >= 0;
      this.load(undefined, true).then(() => {
        this.fill();
        const first = this.bars.bars[0];
        if (isAtEnd || !shown || !first || shown.from < toLocal(first.time)) scale.scrollToRealTime();
        else scale.setVisibleRange(shown);
      });
    }, Math.random() * RELOAD_MS);
  }

  /** Move the newest candle by a quote, as long as the server does not. */
  quote(text) {
    if (!text || this.isServed || this.loading || !instrument.peek()) return;
    const bar = this.bars.add(Number(text), Date.now());
    if (bar) this.drawSoon(bar);
  }
}

let chart = null;

/** Draw into `element` and follow the store; `line` subscribes and unsubscribes channels. */
export function chartMount(element, line) {
  chart = new Chart(element, line);
}

/** Take in a frame of a candle channel. */
export const candlesApply = (frame) => chart?.candle(frame);

// --- head ------------------------------------------------------------------------------------------------------------

const shownAt = (value) => {
  const decimals = instrument.value?.priceDecimals ?? 2;
  return grouped(value.toFixed(decimals));
};
const legendText = computed(() => {
  const bar = legend.value;
  if (!bar || !instrument.value) return "";
  return `O ${shownAt(bar.open)}  H ${shownAt(bar.high)}  L ${shownAt(bar.low)}  C ${shownAt(bar.close)}`;
});

function StudyMenu() {
  const toggle = (id) => {
    const kept = indicators.value.filter((one) => one !== id);
    indicators.value = kept.length === indicators.value.length ? [...kept, id] : kept;
  };
  const count = indicators.value.length;
  return html`<details class="menu">
    <summary class="tab">Indicators${count > 0 && html` <span class="count">${count}</span>`}</summary>
    <div class="menu-body">${Object.entries(STUDIES).map(
      ([id, { name }]) => html`<label key=${id} class="menu-check"><input type="checkbox" checked=${indicators.value.includes(id)} onChange=${() => toggle(id)} /> ${name}</label>`,
    )}</div>
  </details>`;
}

export function ChartHead() {
  return html`
    <${Choice} label="Interval" className="intervals" value=${interval} options=${INTERVALS.map(([id]) => [id, id])} />
    <${Choice} label="Chart type" className="types" value=${chartType} options=${[["candles", "Candles"], ["line", "Line"]]} />
    <${StudyMenu} />
    <span class="muted chart-note number">${legendText.value || note.value}</span>
  `;
}

/** Choose the interval of a number key. */
export function intervalChoose(index) {
  if (INTERVALS[index]) interval.value = INTERVALS[index][0];
}
