// Statements as files: which time, which format; the worker makes them, and the page shows how far it is.

import { signal } from "@preact/signals";
import { statementAsk, statementFileUrl, statementState } from "./api.js";
import { html } from "./html.js";
import { dayOf } from "./performance.js";

const FORMATS = [
  ["pdf", "PDF"],
  ["xlsx", "Excel"],
  ["csv", "CSV"],
  ["json", "JSON"],
];
const KINDS = [
  ["shown", "The time shown above"],
  ["month", "A month"],
  ["day", "A day"],
  ["range", "From … to"],
];
const LOOK_MS = 400;

const kind = signal("shown");
const day = signal(dayOf(Date.now()));
const month = signal(dayOf(Date.now()).slice(0, 7));
const first = signal(dayOf(Date.now()));
const last = signal(dayOf(Date.now()));
const fileFormat = signal("pdf");
/** The statement under way or made last: {words, href}; null before the first. */
const made = signal(null);
const isMaking = signal(false);

function periodOf(shown) {
  if (kind.value === "day") return { day: day.value };
  if (kind.value === "month") return { month: month.value };
  if (kind.value === "range") return { from: first.value, to: last.value };
  return shown;
}

function fetchFile(href) {
  const link = document.createElement("a");
  link.href = href;
  link.download = "";
  link.click();
}

/** Have a statement made and download it. */
export async function statementMake(id, period) {
  if (isMaking.value) return;
  isMaking.value = true;
  made.value = { words: "Asking for the statement…" };
  try {
    let state = await statementAsk(id, { ...period, fileFormat: fileFormat.value });
    while (state.state === "waiting") {
      made.value = { words: `Making the statement of ${state.period}: ${state.progress} entries read` };
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      state = await statementState(id, state.statementId);
    }
    if (state.state === "failed") {
      made.value = { words: `The statement of ${state.period} could not be made`, isBad: true };
      return;
    }
    const href = statementFileUrl(id, state.statementId);
    made.value = { words: `Statement of ${state.period}, ${state.progress} entries`, href, format: state.fileFormat };
    fetchFile(href);
  } catch (error) {
    made.value = { words: error.message, isBad: true };
  } finally {
    isMaking.value = false;
  }
}

function DateField({ id, label, type, value }) {
  return html`<div><label for=${id}>${label}</label><input id=${id} type=${type} required value=${value} onChange=${(event) => (value.value = event.target.value)} /></div>`;
}

/** The form; `shown` is the period on the page. */
export function Statements({ id, shown }) {
  const submit = (event) => {
    event.preventDefault();
    statementMake(id, periodOf(shown));
  };
  const select = (name, label, value, options) => html`<div><label for=${name}>${label}</label><select id=${name} value=${value} onChange=${(event) => (value.value = event.target.value)}>
    ${options.map(([one, text]) => html`<option key=${one} value=${one} selected=${value.value === one}>${text}</option>`)}
  </select></div>`;
  return html`<form class="statement-form" onSubmit=${submit}>
      ${select("statement-kind", "Period", kind, KINDS)}
      ${kind.value === "day" && html`<${DateField} id="statement-day" label="Day" type="date" value=${day} />`}
      ${kind.value === "month" && html`<${DateField} id="statement-month" label="Month" type="month" value=${month} />`}
      ${kind.value === "range" && html`<${DateField} id="statement-from" label="From" type="date" value=${first} /><${DateField} id="statement-to" label="To" type="date" value=${last} />`}
      ${select("statement-format", "Format", fileFormat, FORMATS)}
      <button class="button primary" type="submit" disabled=${isMaking}>Make the statement</button>
    </form>
    <p class="statement-state ${made.value?.isBad ? "loss" : "muted"}" role="status">
      ${isMaking.value && html`<progress aria-label="The statement is being made"></progress>`} ${made.value?.words}
      ${made.value?.href && html` <a href=${made.value.href} download>Download ${made.value.format.toUpperCase()}</a>`}
    </p>`;
}
