// The calendar of results: one month of days in UTC, each with what it brought and a way to its statement.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { performanceGet } from "./api.js";
import { MONEY_DECIMALS, signedMoney, toUnits } from "./format.js";
import { html } from "./html.js";
import { dayOf, monthStep, weeksOf } from "./performance.js";

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;
const tone = (value) => (value > 0n ? "gain" : value < 0n ? "loss" : "");
const nameOf = (month) => new Date(`${month}-01T00:00:00Z`).toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });

function Day({ day, row, isAhead, onDay }) {
  const number = Number(day.slice(8));
  if (!row) return html`<td class=${isAhead ? "ahead" : ""}><span class="day">${number}</span></td>`;
  const net = micros(row.result);
  const why = `${day}: P&L ${signedMoney(micros(row.pnl))}, commission ${signedMoney(-micros(row.commission))}, swap ${signedMoney(micros(row.swap))}, ${row.trades} closed`;
  return html`<td class=${tone(net)} data-day=${day}>
    <button type="button" title=${why} aria-label="${why}. Statement of this day" onClick=${() => onDay(day)}>
      <span class="day">${number}</span><b class="number">${signedMoney(net)}</b></button></td>`;
}

/** The months of account `id`; `onDay` is asked for the statement of a day. */
export function Calendar({ id, onDay, onTrouble }) {
  const today = dayOf(Date.now());
  const month = useSignal(today.slice(0, 7));
  const found = useSignal(null);
  useEffect(() => {
    let isCurrent = true;
    performanceGet(id, { month: month.value })
      .then((answer) => isCurrent && (found.value = answer))
      .catch((error) => onTrouble(error.message));
    return () => (isCurrent = false);
  }, [id, month.value]);
  // A statement tells quiet days too; here they stay empty.
  const busy = (found.value?.days ?? []).filter((row) => row.trades > 0 || row.openingBalance !== row.closingBalance);
  const days = new Map(busy.map((row) => [row.date, row]));
  const result = found.value ? micros(found.value.figures.result) : 0n;
  const go = (count) => {
    found.value = null;
    month.value = monthStep(month.value, count);
  };
  return html`<div class="month-head">
      <button class="button small" type="button" aria-label="The month before" onClick=${() => go(-1)}>‹</button>
      <b aria-live="polite">${nameOf(month.value)}</b>
      <button class="button small" type="button" aria-label="The month after" disabled=${month.value >= today.slice(0, 7)} onClick=${() => go(1)}>›</button>
      <span class="number ${tone(result)}" data-month-result>${found.value ? `${signedMoney(result)} USD` : "…"}</span>
    </div>
    <table class="calendar"><caption class="visually-hidden">Results by day</caption>
      <thead><tr>${WEEKDAYS.map((name) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
      <tbody>${weeksOf(month.value).map(
        (week, index) => html`<tr key=${`${month.value} ${index}`}>${week.map((day, place) =>
          day ? html`<${Day} key=${day} day=${day} row=${days.get(day)} isAhead=${day > today} onDay=${onDay} />` : html`<td key=${place} class="none"></td>`,
        )}</tr>`,
      )}</tbody></table>`;
}
