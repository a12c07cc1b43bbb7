// The price lines of the chart: entries, stops, liquidation, waiting orders, each with its P&L on the label. Stops and
// waiting orders can be dragged, or moved by the arrow keys; from an entry a new stop is drawn. The pointer moves a picture;
// what is sent are whole ticks, and a refusal rolls it back.
//
// The line is drawn by the chart; what can be held is an element over it, so that keyboards and screen readers reach it.

import { effect } from "@preact/signals";
import { LineStyle } from "lightweight-charts";
import { Refusal, orderModify } from "./api.js";
import { amount, pnlMicros, price as priceText, signedMoney, toText, toUnits, trimZeros } from "./format.js";
import { heartbeat, instrument, orders, positions, symbol } from "./store.js";
import { toast } from "./toasts.js";

// Moving less than this from the entry is a click, not a wish for a stop.
const WISH_PIXELS = 8;
// Height of a label, pixels; what stands beside its text, and the width of a sign: bold ones of a sans serif at most. Reckoned
// and not asked of the browser, which would lay the page out for it.
const LABEL_PIXELS = 19;
const [LABEL_EDGES, SIGN_PIXELS, REMOVE_PIXELS] = [24, 7, 22];
// What Shift and an arrow key move at once, ticks.
const STRIDE = 10n;
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
    wanted.push({ key: `${position.id} entry`, text: position.entry, name: `${direction} ${amount(position.quantity)}`, tone: "--accent", owner: position, isEntry: true });
    for (const [field, name, tone] of STOPS) {
      if (position[field]) wanted.push({ key: `${position.id} ${field}`, text: position[field], name, tone, field, owner: position });
    }
    if (position.liquidation) {
      wanted.push({ key: `${position.id} end`, text: position.liquidation, name: position.marginMode === "isolated" ? "Liquidation" : "Stop-out", tone: "--warn", owner: position });
    }
  }
  for (const order of orders.value.filter((row) => row.symbol === symbol.value)) {
    const name = `${order.side === "buy" ? "Buy" : "Sell"} ${KINDS[order.orderType]} ${amount(order.quantity)}`;
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
  // Not followed: labels change with the heartbeat, since each change draws the chart anew.
  if (owner.pnlAt) return isEntry ? owner.pnl.peek() : owner.pnlAt(ticks);
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

/** Make the element that is held: a strip over the line, its label, and what takes the stop away. */
function handleMake(isStop) {
  const row = document.createElement("div");
  row.className = "line-row";
  const chip = row.appendChild(document.createElement("button"));
  chip.type = "button";
  chip.className = "line-chip";
  const remove = isStop ? row.appendChild(document.createElement("button")) : null;
  if (remove) {
    remove.type = "button";
    remove.className = "line-remove";
    remove.textContent = "×";
  }
  return { row, chip, remove };
}

export class ChartLines {
  /** `colour` resolves a custom property of the style sheet. */
  constructor({ chart, series, element, colour }) {
    Object.assign(this, { chart, series, element, colour });
    this.layer = element.appendChild(document.createElement("div"));
    this.layer.className = "chart-lines";
    // Key -> {line, drawn, row, chip, remove}.
    this.held = new Map();
    this.drag = null;
    effect(() => this.draw());
    effect(() => {
      const _beat = heartbeat.value;
      for (const held of this.held.values()) if (held !== this.drag?.held) this.label(held, ticksOf(held.line.text));
    });
    const place = () => {
      if (this.held.size && !document.hidden) this.place();
      requestAnimationFrame(place);
    };
    place();
    addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape" || !this.drag) return;
        // This Esc belongs to the drag alone.
        event.stopPropagation();
        this.abandon();
      },
      true,
    );
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  /** Bring the lines in step with the store, except the one in the trader's hand. */
  draw() {
    if (!instrument.value) return;
    const wanted = new Map(linesWanted().map((line) => [line.key, line]));
    for (const [key, held] of this.held) if (!wanted.has(key) && held !== this.drag?.held) this.remove(held);
    for (const [key, line] of wanted) {
      const before = this.held.get(key);
      if (before && before === this.drag?.held) continue;
      const held = before ?? this.add(key);
      held.line = line;
      held.drawn.applyOptions(this.optionsOf(line));
      this.label(held, ticksOf(line.text));
    }
    // For people who cannot see a canvas: what stands on it.
    this.element.dataset.lines = [...wanted.values()].map((line) => `${line.name} ${line.text}`).join("; ");
  }

  add(key) {
    const held = { key, line: null, drawn: this.series.createPriceLine({ price: 0 }), ...handleMake(key.endsWith("stopLoss") || key.endsWith("takeProfit")) };
    const { row, chip, remove } = held;
    row.addEventListener("pointerdown", (event) => this.press(event, held));
    row.addEventListener("pointermove", (event) => this.move(event, held));
    row.addEventListener("pointerup", (event) => this.release(event, held));
    row.addEventListener("pointercancel", () => this.abandon());
    chip.addEventListener("keydown", (event) => this.key(event, held));
    chip.addEventListener("blur", () => this.drag?.held === held && !this.drag.isPointer && this.abandon());
    remove?.addEventListener("click", () => this.send(held.line, null));
    this.layer.append(row);
    this.held.set(key, held);
    return held;
  }

  remove({ key, drawn, row }) {
    this.series.removePriceLine(drawn);
    row.remove();
    this.held.delete(key);
  }

  optionsOf(line) {
    return {
      price: Number(line.text),
      color: this.colour(line.tone),
      title: "",
      lineWidth: 1,
      lineStyle: line.isEntry ? LineStyle.Solid : line.field ? LineStyle.Dashed : LineStyle.Dotted,
      axisLabelVisible: true,
    };
  }

  label(held, ticks) {
    const { line, row, chip, remove } = held;
    const title = titleOf(line, ticks);
    const said = `${title} ${ticks} ${line.tone}`;
    // Nothing is written that stands there already: this runs with every heartbeat.
    if (held.said === said) return;
    held.said = said;
    chip.textContent = title;
    row.style.setProperty("--tone", `var(${line.tone})`);
    row.classList.toggle("fixed", !line.field && !line.isEntry);
    chip.disabled = !line.field && !line.isEntry;
    const price = priceText(toText(ticks, instrument.value.priceDecimals));
    const how = line.isEntry ? "drag to draw a stop" : "drag or use the arrow keys, then Enter";
    chip.setAttribute("aria-label", `${title} at ${price}${chip.disabled ? "" : `; ${how}`}`);
    remove?.setAttribute("aria-label", `Remove ${line.name}`);
  }

  /** Put every handle where its line is; those outside of the pane are hidden. */
  place() {
    const height = this.chart.panes()[0].getHeight();
    const width = this.chart.timeScale().width();
    if (this.width !== width) {
      this.width = width;
      this.layer.style.width = `${width}px`;
    }
    for (const held of this.held.values()) {
      const price = held === this.drag?.held && !held.line.isEntry ? this.drag.price : Number(held.line.text);
      const y = this.series.priceToCoordinate(price);
      const isOut = y === null || y < 0 || y > height;
      if (held.row.hidden !== isOut) held.row.hidden = isOut;
      const top = isOut ? held.top : Math.round(y);
      if (held.top === top) continue;
      held.top = top;
      held.row.style.translate = `0 ${top}px`;
      this.isMoved = true;
    }
    if (this.isMoved) this.stagger();
  }

  /** Labels that would lie over each other stand side by side, as far as the chart is wide. */
  stagger() {
    this.isMoved = false;
    const rows = [...this.held.values()].filter(({ row }) => !row.hidden).sort((a, b) => a.top - b.top);
    let [above, shift, taken] = [-LABEL_PIXELS, 0, 0];
    for (const { row, top, chip, remove } of rows) {
      const wide = LABEL_EDGES + chip.textContent.length * SIGN_PIXELS + (remove ? REMOVE_PIXELS : 0);
      shift = top - above < LABEL_PIXELS && taken + wide <= this.width ? taken : 0;
      taken = shift + wide;
      above = top;
      (remove ?? chip).style.marginRight = shift && `${shift}px`;
    }
  }

  restyle() {
    for (const { line, drawn } of this.held.values()) drawn.applyOptions({ color: this.colour(line.tone) });
  }

  // --- dragging ------------------------------------------------------------------------------------------------------

  begin(held, isPointer) {
    this.drag = { held, isPointer, ticks: null, price: Number(held.line.text), wish: null };
    held.row.classList.add("held");
    return this.drag;
  }

  press(event, held) {
    if (event.button !== 0 || event.target.closest(".line-remove") || (!held.line.field && !held.line.isEntry)) return;
    event.preventDefault();
    held.row.setPointerCapture(event.pointerId);
    this.begin(held, true).y = event.clientY;
  }

  move(event, held) {
    const { drag } = this;
    if (drag?.held !== held || !drag.isPointer) return;
    if (held.line.isEntry && drag.ticks === null && Math.abs(event.clientY - drag.y) < WISH_PIXELS) return;
    const price = this.series.coordinateToPrice(event.clientY - this.element.getBoundingClientRect().top);
    if (price !== null) this.aim(BigInt(Math.max(1, Math.round(price * 10 ** instrument.value.priceDecimals))));
  }

  key(event, held) {
    const step = { ArrowUp: 1n, ArrowDown: -1n }[event.key];
    if (event.key === "Enter" && this.drag?.held === held) {
      event.preventDefault();
      this.finish();
    } else if (step) {
      event.preventDefault();
      const drag = this.drag ?? this.begin(held, false);
      const from = drag.ticks ?? ticksOf(held.line.text);
      this.aim(from + step * (event.shiftKey ? STRIDE : 1n));
    }
  }

  /** Show what the drag would do: its price and the result there. */
  aim(ticks) {
    const { drag } = this;
    const { line, drawn } = drag.held;
    drag.ticks = ticks;
    drag.price = Number(toText(ticks, instrument.value.priceDecimals));
    if (!line.isEntry) {
      drawn.applyOptions({ price: drag.price, lineStyle: LineStyle.LargeDashed });
      this.label(drag.held, ticks);
      return;
    }
    const wish = this.wishOf(line, ticks);
    const options = { ...this.optionsOf(wish), price: drag.price, title: titleOf(wish, ticks), lineStyle: LineStyle.LargeDashed };
    if (drag.wish) drag.wish.applyOptions(options);
    else drag.wish = this.series.createPriceLine(options);
  }

  /** From an entry a drag draws a new stop: its result decides which one. */
  wishOf(line, ticks) {
    const [field, name, tone] = STOPS[line.owner.pnlAt(ticks) < 0n ? 0 : 1];
    return { ...line, isEntry: false, field, name, tone };
  }

  release(event, held) {
    if (this.drag?.held === held && this.drag.isPointer) this.finish();
  }

  /** End the drag and return it; the line stays where it is. */
  end() {
    const { drag } = this;
    this.drag = null;
    drag.held.row.classList.remove("held");
    if (drag.wish) this.series.removePriceLine(drag.wish);
    return drag;
  }

  abandon() {
    if (!this.drag) return;
    this.end();
    this.draw();
  }

  finish() {
    const { held, ticks } = this.end();
    const { line } = held;
    if (ticks === null || (!line.isEntry && ticks === ticksOf(line.text))) return this.draw();
    return this.send(line.isEntry ? this.wishOf(line, ticks) : line, ticks);
  }

  /** Ask for the change; null takes the stop away. The account's own event brings the line to where it then stands. */
  async send({ owner, field, name }, ticks) {
    const text = ticks === null ? null : trimZeros(toText(ticks, instrument.value.priceDecimals));
    try {
      await orderModify(owner.id, { [field]: text });
      toast("good", text === null ? `${name} removed` : `${name} moved to ${priceText(text)}`);
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof TypeError)) throw error;
      toast("bad", `${name} was not moved`, error instanceof Refusal ? error.message : "The server cannot be reached.");
      this.draw();
    }
  }
}
