// The account bar, the feed badge and the state of the line: what a trader glances at.

import { computed } from "@preact/signals";
import { money, percent, signedMoney } from "./format.js";
import { html } from "./html.js";
import { feed, figures, link, positions } from "./store.js";

const DASH = "\u2013";
const shown = (pick, format = money) => computed(() => (figures.value ? format(pick(figures.value)) : DASH));

const level = computed(() => {
  const now = figures.value;
  return now && now.used > 0n ? percent(now.crossEquity, now.used, 0) : DASH;
});
// Below the call level (100 %) the account is in danger, below twice that it deserves a look.
const levelTone = computed(() => {
  const now = figures.value;
  if (!now || now.used === 0n) return "";
  if (now.crossEquity <= now.used) return "loss";
  return now.crossEquity <= 2n * now.used ? "warn" : "";
});
const pnlTone = computed(() => tone(figures.value?.pnl ?? 0n));

/** Return the class that colours a result. */
export function tone(micros) {
  if (micros === 0n) return "";
  return micros > 0n ? "gain" : "loss";
}

const FIGURES = [
  [
    "balance",
    "Balance",
    shown((f) => f.balance),
    "",
    "Settled money: deposits, closed results and fees. Open positions do not change it.",
  ],
  [
    "pnl",
    "Open P&L",
    shown((f) => f.pnl, signedMoney),
    pnlTone,
    "Sum over open positions: (closing price − entry) × quantity, the other way round for shorts.",
  ],
  [
    "equity",
    "Equity",
    shown((f) => f.equity),
    "",
    "Balance + open P&L: what the account is worth if everything closes now.",
  ],
  [
    "used",
    "Used margin",
    shown((f) => f.used),
    "",
    "Sum over positions: entry price × quantity ÷ leverage. Locked until they close.",
  ],
  ["free", "Free margin", shown((f) => f.free), "", "Equity − used margin: what new orders may lock."],
  [
    "level",
    "Margin level",
    level,
    levelTone,
    "Equity ÷ used margin. 100% is a margin call, at 50% positions are closed.",
  ],
];

export function AccountBar() {
  return html`<dl class="figures">
    ${FIGURES.map(
      ([
        id,
        name,
        text,
        className,
        formula,
      ]) => html`<div class="figure" key=${id} data-figure=${id} tabindex="0" aria-describedby="formula-${id}">
        <dt>${name}</dt>
        <dd class=${className}>${text}${id === "level" ? "" : html`<small> USD</small>`}</dd>
        <span class="formula" role="tooltip" id="formula-${id}">${formula}</span>
      </div>`,
    )}
  </dl>`;
}

const BADGES = { simulated: "Simulated", replay: "Replay" };
const EXPLAINED = {
  simulated: "Prices are made by a simulator. They are not market prices.",
  replay: "Prices are replayed from a recorded tape. They are not today's market prices.",
};
const LINE = { connecting: "Connecting", waiting: "Reconnecting" };

export function Connection() {
  const { state, latencyMs } = link.value;
  const { sourceClass, name, isFed } = feed.value;
  const isOpen = state === "open";
  const words = isOpen ? (isFed ? "Connected" : "No prices") : LINE[state];
  return html`
    ${BADGES[sourceClass] && html`<span class="badge" title=${EXPLAINED[sourceClass]}>${BADGES[sourceClass]}</span>`}
    <span class="line ${isOpen && isFed ? "good" : "warn"}" role="status" title=${name ? `Feed: ${name}` : ""}>
      <i aria-hidden="true"></i><span class="line-words">${words}</span>
      ${isOpen && latencyMs !== null && html`<span class="line-latency number">${latencyMs} ms</span>`}
    </span>
  `;
}

const VIEWS = [
  ["markets", "Markets"],
  ["trade", "Trade"],
  ["positions", "Positions"],
];

/** The tabs of narrow screens. */
export function Views({ view }) {
  return VIEWS.map(
    ([id, name]) => html`<button
      key=${id} type="button" aria-pressed=${view.value === id} onClick=${() => (view.value = id)}
    >${name}${id === "positions" && positions.value.length > 0 && html` <b>${positions.value.length}</b>`}</button>`,
  );
}
