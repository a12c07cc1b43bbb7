// The dialogs that change what is open or waits: stops of a position, a part of it, terms of an order, and the receipt.

import { signal, useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Refusal, orderCancel, orderModify, positionClose, receiptGet } from "./api.js";
import { dialogOpen } from "./dialog.js";
import { Field } from "./fields.js";
import { amount, clock, pnlMicros, price, signedMoney, toText, toUnits, trimZeros } from "./format.js";
import { html } from "./html.js";
import { nameOf } from "./positions.js";
import { stepsOf } from "./receipts.js";
import { instruments } from "./store.js";
import { toast } from "./toasts.js";
import { decimalsOf, quantityWords } from "./wish.js";

const clean = (text) => (text ? trimZeros(text) : "");

/** Send a change; returns whether it was taken. The words of a refusal go to `trouble`. */
async function tryTo(work, trouble, isBusy) {
  isBusy.value = true;
  trouble.value = "";
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof TypeError)) throw error;
    trouble.value = error instanceof Refusal ? error.message : "The server cannot be reached.";
    toast("bad", "Refused", trouble.value);
    return false;
  } finally {
    isBusy.value = false;
  }
}

function Foot({ trouble, isBusy, label, close }) {
  return html`<p class="obstacle warn" role="alert">${trouble}</p>
    <div class="dialog-actions">
      <button class="button" type="button" onClick=${close}>Cancel</button>
      <button class="button primary" type="submit" disabled=${isBusy}>${label}</button>
    </div>`;
}

/** Which of the fields differ from what stands: {name: text or null}. Only these are sent. */
export function changesOf(before, after) {
  const changes = {};
  for (const [name, text] of Object.entries(after)) {
    if (text.trim() !== (before[name] ?? "")) changes[name] = text.trim() || null;
  }
  return changes;
}

/** Say which text is no number of its kind, empty if all are. `fields`: [label, text, what it is, its decimals, whether it must stand]. */
function unreadable(fields) {
  const wrong = fields.find(([, text, , decimals, isAsked]) => (text.trim() || isAsked) && toUnits(text, decimals) === null);
  return wrong ? `${wrong[0]}: ${decimalsOf(wrong[2], wrong[3])}` : "";
}

// --- stops of a position ---------------------------------------------------------------------------------------------

function StopsForm({ position, does, close }) {
  const before = { stopLoss: clean(position.stopLoss), takeProfit: clean(position.takeProfit), trailingDistance: clean(position.trailing) };
  const [stopLoss, takeProfit, trailing] = [useSignal(before.stopLoss), useSignal(before.takeProfit), useSignal(before.trailingDistance)];
  const [trouble, isBusy] = [useSignal(""), useSignal(false)];
  const resultOf = (field) =>
    useComputed(() => {
      const ticks = toUnits(field.value, position.instrument.priceDecimals);
      return ticks === null ? "" : `${signedMoney(position.pnlAt(ticks))} USD`;
    });
  const [lossText, profitText] = [resultOf(stopLoss), resultOf(takeProfit)];
  const now = useComputed(() => `now ${price(position.closing.value)}`);
  const submit = async (event) => {
    event.preventDefault();
    const changes = changesOf(before, { stopLoss: stopLoss.value, takeProfit: takeProfit.value, trailingDistance: trailing.value });
    if (Object.keys(changes).length === 0) return close();
    const { priceDecimals } = position.instrument;
    trouble.value = unreadable([
      ["Stop loss", stopLoss.value, "price", priceDecimals],
      ["Take profit", takeProfit.value, "price", priceDecimals],
      ["Trailing stop", trailing.value, "distance", priceDecimals],
    ]);
    if (trouble.value) return;
    if (await tryTo(() => orderModify(position.id, changes), trouble, isBusy)) {
      close();
      does.changed(`Stops of ${nameOf(position)} changed`);
    }
  };
  return html`<form onSubmit=${submit}>
    <p class="muted">Entry ${price(position.entry)}, ${now}. An empty field takes the stop away.</p>
    <${Field} id="edit-stop-loss" label="Stop loss" value=${stopLoss} hint="none" note=${lossText} />
    <${Field} id="edit-take-profit" label="Take profit" value=${takeProfit} hint="none" note=${profitText} />
    <${Field} id="edit-trailing" label="Trailing stop, distance" value=${trailing} hint="none" unit="USD" />
    <${Foot} trouble=${trouble} isBusy=${isBusy} label="Save" close=${close} />
  </form>`;
}

export const stopsEdit = (position, does) =>
  dialogOpen({ title: `Stops of ${nameOf(position)}`, body: StopsForm, className: "narrow", props: { position, does } });

// --- a part of a position --------------------------------------------------------------------------------------------

const PARTS = [25n, 50n, 75n, 100n];

function PartForm({ position, does, close }) {
  const known = position.instrument;
  const text = useSignal("");
  const [trouble, isBusy] = [useSignal(""), useSignal(false)];
  const choose = (percent) => {
    const step = toUnits(known.quantityStep, known.quantityDecimals) || 1n;
    const units = percent === 100n ? position.quantityUnits : (position.quantityUnits * percent) / 100n;
    text.value = trimZeros(toText(units - (units % step), known.quantityDecimals));
  };
  const result = useComputed(() => {
    const quantityUnits = toUnits(text.value, known.quantityDecimals);
    const ticks = toUnits(position.closing.value, known.priceDecimals);
    if (!quantityUnits || ticks === null) return "";
    return `about ${signedMoney(pnlMicros(known, { ...position, quantityUnits }, ticks))} USD`;
  });
  const submit = async (event) => {
    event.preventDefault();
    trouble.value = quantityWords(known, text.value);
    if (trouble.value) return;
    let done = null;
    const work = async () => (done = await positionClose(position.id, trimZeros(text.value.trim())));
    if (await tryTo(work, trouble, isBusy)) {
      close();
      does.closed(done);
    }
  };
  return html`<form onSubmit=${submit}>
    <p class="muted">${amount(position.quantity)} ${known.base} are open. The rest keeps its id, its entry and its stops.</p>
    <${Field} id="part-quantity" label="Quantity to close" value=${text} hint="0" unit=${known.base} note=${result} />
    <div class="shares" role="group" aria-label="Share of the position">
      ${PARTS.map((percent) => html`<button key=${percent} type="button" onClick=${() => choose(percent)}>${String(percent)}%</button>`)}
    </div>
    <${Foot} trouble=${trouble} isBusy=${isBusy} label="Close this part" close=${close} />
  </form>`;
}

export const partClose = (position, does) =>
  dialogOpen({ title: `Close a part of ${nameOf(position)}`, body: PartForm, className: "narrow", props: { position, does } });

// --- terms of a pending order ----------------------------------------------------------------------------------------

function OrderForm({ order, does, close }) {
  const known = instruments.value.get(order.symbol);
  const names = ["quantity", ...(order.stopPrice ? ["stopPrice"] : []), ...(order.price ? ["price"] : []), "stopLoss", "takeProfit"];
  const labels = { quantity: "Quantity", stopPrice: "Stop price", price: "Limit price", stopLoss: "Stop loss", takeProfit: "Take profit" };
  const before = Object.fromEntries(names.map((name) => [name, clean(order[name])]));
  const fields = useSignal(Object.fromEntries(names.map((name) => [name, signal(before[name])]))).value;
  const [trouble, isBusy] = [useSignal(""), useSignal(false)];
  const submit = async (event) => {
    event.preventDefault();
    const after = Object.fromEntries(names.map((name) => [name, fields[name].value]));
    const changes = changesOf(before, after);
    if (Object.keys(changes).length === 0) return close();
    const isStop = (name) => name === "stopLoss" || name === "takeProfit";
    trouble.value =
      quantityWords(known, after.quantity) ||
      unreadable(names.slice(1).map((name) => [labels[name], after[name], "price", known.priceDecimals, !isStop(name)]));
    if (trouble.value) return;
    if (await tryTo(() => orderModify(order.id, changes), trouble, isBusy)) {
      close();
      does.changed(`Order in ${order.symbol} changed`);
    }
  };
  const remove = async () => {
    if (await tryTo(() => orderCancel(order.id), trouble, isBusy)) {
      close();
      does.changed(`Order in ${order.symbol} cancelled`);
    }
  };
  return html`<form onSubmit=${submit}>
    ${names.map(
      (name) => html`<${Field} key=${name} id=${`order-${name}`} label=${labels[name]} value=${fields[name]} hint="none"
        unit=${name === "quantity" ? known.base : "USD"} />`,
    )}
    <button class="link" type="button" onClick=${remove}>Cancel the order</button>
    <${Foot} trouble=${trouble} isBusy=${isBusy} label="Save" close=${close} />
  </form>`;
}

export const orderEdit = (order, does) =>
  dialogOpen({ title: `Order in ${order.symbol}`, body: OrderForm, className: "narrow", props: { order, does } });

// --- why? ------------------------------------------------------------------------------------------------------------

function Receipt({ id }) {
  const [steps, trouble] = [useSignal(null), useSignal("")];
  useEffect(() => {
    receiptGet(id)
      .then((detail) => (steps.value = stepsOf(detail)))
      .catch((error) => (trouble.value = error.message));
  }, [id]);
  if (trouble.value) return html`<p class="obstacle warn" role="alert">${trouble}</p>`;
  if (steps.value === null) return html`<p class="muted">Reading the journal…</p>`;
  return html`<ol class="steps" tabindex="0">
    ${steps.value.map(
      (step, index) => html`<li key=${index}>
        <h3>${step.title}</h3><p class="muted number">${clock(step.time)}</p>
        <dl>${step.facts.map(([name, text]) => html`<div key=${name}><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>
      </li>`,
    )}
  </ol>`;
}

export const whyShow = (id) => dialogOpen({ title: `Why? Order ${id}`, body: Receipt, className: "wide", props: { id } });
