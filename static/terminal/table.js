// What all tables share: heads that sort, rows that are found by a word.

import { signal } from "@preact/signals";
import { html } from "./html.js";
import { Icon } from "./icons.js";

/** The word that narrows every table. */
export const filter = signal("");

/** Return the state of one table's order: {id, isDown}; id "" is the order in which rows come. */
export const orderSignal = () => signal({ id: "", isDown: true });

/** Return the rows in the order that the head says. Values may be BigInt, numbers or text; equal ones keep their places. */
export function sortRows(rows, columns, { id, isDown }) {
  const column = columns.find((one) => one.id === id);
  if (!column) return rows;
  const sign = isDown ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = [column.sort(a), column.sort(b)];
    if (left === right) return 0;
    return left < right ? -sign : sign;
  });
}

/** Return the rows that have the word in one of these texts. */
export function filterRows(rows, textsOf) {
  const word = filter.value.trim().toUpperCase();
  return word ? rows.filter((row) => textsOf(row).some((text) => String(text).toUpperCase().includes(word))) : rows;
}

function next({ id, isDown }, column) {
  if (id !== column) return { id: column, isDown: true };
  return isDown ? { id: column, isDown: false } : { id: "", isDown: true };
}

/** The head of a table; columns are {id, label, sort?, title?, className?}; "spare" ones go where room is short, "spare later" ones where it is shorter still. */
export function Head({ columns, order }) {
  const now = order.value;
  return html`<thead><tr>
    ${columns.map((column) => {
      if (!column.label) return html`<td key=${column.id}></td>`;
      if (!column.sort) return html`<th key=${column.id} scope="col" title=${column.title} class=${column.className}>${column.label}</th>`;
      const isThis = now.id === column.id;
      return html`<th
        key=${column.id} scope="col" title=${column.title} class=${column.className}
        aria-sort=${isThis ? (now.isDown ? "descending" : "ascending") : "none"}
      ><button type="button" class="sort" onClick=${() => (order.value = next(now, column.id))}
        >${column.label}<i aria-hidden="true">${isThis ? (now.isDown ? "↓" : "↑") : ""}</i></button></th>`;
    })}
  </tr></thead>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** Brings rows that are older than the last one shown. */
export function Older({ isThere, onClick }) {
  return isThere ? html`<p class="older"><button class="button small" type="button" onClick=${onClick}>Show older</button></p>` : null;
}

/** What there is to do about a row: a small picture, whose name says it in full. */
export function Act({ icon, label, name, isOff, onClick }) {
  return html`<button class="act-button" type="button" title=${name} aria-label=${label} disabled=${isOff} onClick=${onClick}>
    <${Icon} name=${icon} />
  </button>`;
}
