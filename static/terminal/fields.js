// Form fields shared by the ticket and the dialogs.

import { html } from "./html.js";

/** Commas of other keyboards are points here. */
export const typed = (event) => event.target.value.replace(",", ".");

export function Field({ id, label, value, unit = "", hint = "", note = "", className = "", children }) {
  return html`<div class="field ${className}">
    <div class="field-head"><label for=${id}>${label}</label>${note && html`<span class="field-note">${note}</span>`}</div>
    <div class="input">
      <input
        id=${id} class="number" inputmode="decimal" autocomplete="off" placeholder=${hint} value=${value}
        onInput=${(event) => (value.value = typed(event))}
      />
      ${children}
      ${unit && html`<span aria-hidden="true">${unit}</span>`}
    </div>
  </div>`;
}

/** A small select inside a field, such as its unit. */
export function Unit({ label, value, options }) {
  return html`<select class="unit" aria-label=${label} value=${value} onChange=${(event) => (value.value = event.target.value)}>
    ${options.map(([id, name]) => html`<option key=${id} value=${id} selected=${value.value === id}>${name}</option>`)}
  </select>`;
}

/** A row of buttons of which one is pressed. */
export function Choice({ label, value, options, className = "" }) {
  return html`<div class="choice ${className}" role="group" aria-label=${label}>
    ${options.map(
      ([id, name]) => html`<button
        key=${id} type="button" aria-pressed=${value.value === id} onClick=${() => (value.value = id)}
      >${name}</button>`,
    )}
  </div>`;
}
