// The price lines of the chart: entries, stops, liquidation, waiting orders, each with its P&L on the label; stops and
// waiting orders can be dragged. The pointer moves a picture; what is sent are whole ticks, and a refusal rolls it back.

import { effect } from "@preact/signals";
import { LineStyle } from "lightweight-charts";
import { Refusal, orderModify } from "./api.js";
import { pnlMicros, price as priceText, signedMoney, toText, toUnits, trimZeros } from "./format.js";
import { heartbeat, instrument, orders, positions, symbol } from "./store.js";
import { toast } from "./toasts.js";

const GRAB_PIXELS = 6;
// Moving less than this from the entry is a click, not a wish for a stop.
const WISH_PIXELS = 8;
const STOPS = [
  ["stopLoss", "SL", "--loss"],
  ["takeProfit", "TP", "--gain"],
];
const KINDS = { limit: "limit", stop: "stop", stopLimit: "stop limit" };

/** Return what is to be drawn: [{key, text, name, tone, field, owner, isEntry}], prices as text. */
function linesWanted() {
  const wanted = [];
  for (const position of positions.value.filter((row) => row.symbol === symbol.value)) {
    const direction = position.direction === "long" ? "Long" : "Short";
    wanted.push({ key: `${position.id} entry`, text: position.entry, name: `${direction} ${trimZeros(position.quantity)}`, tone: "--accent", owner: position, isEntry: true });
    for (const [field, name, tone] of STOPS) {
      if (position[field]) wanted.push({ key: `${position.id} ${field}`, text: position[field], name, tone, field, owner: position });
    }
    if (position.liquidation) {
      wanted.push({ key: `${position.id} end`, text: position.liquidation, name: position.marginMode === "isolated" ? "Liquidation" : "Stop-out", tone: "--warn", owner: position });
    }
  }
  for (const order of orders.value.filter((row) => row.symbol === symbol.value)) {
    const name = `${order.side === "buy" ? "Buy" : "Sell"} ${KINDS[order.orderType]} ${trimZeros(order.quantity)}`;
    for (const field of ["stopPrice", "price"]) {
      if (order[field]) wanted.push({ key: `${order.id} ${field}`, text: order[field], name, tone: "--muted", field, owner: order });
    }
    for (const [field, short, tone] of STOPS) {
      if (order[field]) wanted.push({ key: `${order.id} ${field}`, text: order[field], name: `${short} of order`, tone, field, owner: order });
    }
  }
  return wanted;
}

/** Return the result that a line stands for, micro-USD; null where a line brings none. */
function resultAt({ owner, isEntry, field }, ticks) {
  if (owner.pnlAt) return isEntry ? owner.pnl.value : owner.pnlAt(ticks);
  if (field !== "stopLoss" && field !== "takeProfit") return null;
  const known = instrument.value;
  const entryTicks = toUnits(owner.price ?? owner.stopPrice, known.priceDecimals);
  const quantityUnits = toUnits(owner.quantity, known.quantityDecimals);
  return pnlMicros(known, { direction: owner.side === "buy" ? "long" : "short", entryTicks, quantityUnits }, ticks);
}

const ticksOf = (text) => toUnits(text, instrument.value.priceDecimals);

function titleOf(line, ticks) {
  const result = resultAt(line, ticks);
  return result === null ? line.name : `${line.name} ${signedMoney(result)}`;
}

export class ChartLines {
  /** `colour` resolves a custom property of the style sheet. */
  constructor({ chart, series, element, colour }) {
    Object.assign(this, { chart, series, element, colour });
    this.drawn = new Map();
    this.drag = null;
    effect(() => this.draw());
    effect(() => {
      const _beat = heartbeat.value;
      for (const [line, drawn] of this.entries()) {
        if (line !== this.drag?.line) drawn.applyOptions({ title: titleOf(line, ticksOf(line.text)) });
      }
    });
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerdown", (event) => this.press(event), true);
    addEventListener("pointerup", (event) => this.release(event), true);
    addEventListener("pointercancel", () => this.abandon());
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.drag) return;
      // This Esc belongs to the drag alone.
      event.stopPropagation();
      this.abandon();
    }, true);
  }

  entries() {
    return [...this.drawn.values()].map(({ line, drawn }) => [line, drawn]);
  }

  /** Bring the lines in step with the store, except the one in the trader's hand. */
  draw() {
    if (!instrument.value) return;
    const wanted = new Map(linesWanted().map((line) => [line.key, line]));
    for (const [key, { drawn }] of this.drawn) {
      if (wanted.has(key) || key === this.drag?.line.key) continue;
      this.series.removePriceLine(drawn);
      this.drawn.delete(key);
    }
    for (const [key, line] of wanted) {
      if (key === this.drag?.line.key) continue;
      const options = this.optionsOf(line);
      const before = this.drawn.get(key);
      if (before) before.drawn.applyOptions(options);
      this.drawn.set(key, { line, drawn: before?.drawn ?? this.series.createPriceLine(options) });
    }
    // For people who cannot see a canvas, and for tests: what stands on it.
    this.element.dataset.lines = [...wanted.values()].map((line) => `${line.name} ${line.text}`).join("; ");
  }

  optionsOf(line) {
    return {
      price: Number(line.text),
      color: this.colour(line.tone),
      title: titleOf(line, ticksOf(line.text)),
      lineWidth: 1,
      lineStyle: line.isEntry ? LineStyle.Solid : line.field ? LineStyle.Dashed : LineStyle.Dotted,
      axisLabelVisible: true,
    };
  }

  restyle() {
    for (const [line, drawn] of this.entries()) drawn.applyOptions({ color: this.colour(line.tone) });
  }

  yOf(event) {
    return event.clientY - this.element.getBoundingClientRect().top;
  }

  /** Return the line under the pointer that can be dragged; stops win over entries. */
  near(y) {
    const found = this.entries()
      .filter(([line]) => line.field || line.isEntry)
      .map(([line]) => ({ line, away: Math.abs((this.series.priceToCoordinate(Number(line.text)) ?? -1e9) - y) }))
      .filter(({ away }) => away <= GRAB_PIXELS);
    found.sort((a, b) => Number(Boolean(a.line.isEntry)) - Number(Boolean(b.line.isEntry)) || a.away - b.away);
    return found[0]?.line ?? null;
  }

  press(event) {
    const y = this.yOf(event);
    const line = event.button === 0 ? this.near(y) : null;
    if (!line) return;
    event.preventDefault();
    event.stopPropagation();
    this.drag = { line, y, ticks: null, drawn: line.isEntry ? null : this.drawn.get(line.key).drawn };
    this.element.setPointerCapture?.(event.pointerId);
    this.chart.applyOptions({ handleScroll: false, handleScale: false });
  }

  move(event) {
    const y = this.yOf(event);
    if (!this.drag) {
      this.element.classList.toggle("grabbable", this.near(y) !== null);
      return;
    }
    event.stopPropagation();
    const { drag } = this;
    const at = this.series.coordinateToPrice(y);
    if (at === null || (drag.line.isEntry && drag.ticks === null && Math.abs(y - drag.y) < WISH_PIXELS)) return;
    drag.ticks = BigInt(Math.max(1, Math.round(at * 10 ** instrument.value.priceDecimals)));
    const line = drag.line.isEntry ? this.wishOf(drag) : drag.line;
    const options = { ...this.optionsOf(line), price: at, title: titleOf(line, drag.ticks), lineStyle: LineStyle.LargeDashed };
    if (drag.drawn) drag.drawn.applyOptions(options);
    else drag.drawn = this.series.createPriceLine(options);
  }

  /** From an entry a drag draws a new stop: its result decides which one. */
  wishOf({ line, ticks }) {
    const [field, name, tone] = STOPS[line.owner.pnlAt(ticks) < 0n ? 0 : 1];
    return { ...line, isEntry: false, field, name, tone };
  }

  finish() {
    const { drag } = this;
    this.drag = null;
    this.chart.applyOptions({ handleScroll: true, handleScale: true });
    return drag;
  }

  abandon() {
    if (!this.drag) return;
    const { line, drawn } = this.finish();
    this.rollBack(line, drawn);
  }

  rollBack(line, drawn) {
    if (line.isEntry) {
      if (drawn) this.series.removePriceLine(drawn);
    } else {
      drawn.applyOptions(this.optionsOf(line));
    }
    this.draw();
  }

  async release(event) {
    if (!this.drag) return;
    event.stopPropagation();
    const drag = this.finish();
    const { line, ticks, drawn } = drag;
    if (ticks === null || (!line.isEntry && ticks === ticksOf(line.text))) return this.rollBack(line, drawn);
    const { field, name } = line.isEntry ? this.wishOf(drag) : line;
    const text = trimZeros(toText(ticks, instrument.value.priceDecimals));
    try {
      await orderModify(line.owner.id, { [field]: text });
      toast("good", `${name} moved to ${priceText(text)}`);
      // The account's own event brings the line to where it stands now.
      if (line.isEntry && drawn) this.series.removePriceLine(drawn);
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof TypeError)) throw error;
      toast("bad", `${name} was not moved`, error instanceof Refusal ? error.message : "The server cannot be reached.");
      this.rollBack(line, drawn);
    }
  }
}
