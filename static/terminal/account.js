// The account bar, the account switcher, the feed badge and the state of the line: what a trader glances at.

import { computed } from "@preact/signals";
import { money, percent, signedMoney } from "./format.js";
import { html } from "./html.js";
import { equityAt, levelText } from "./shapes.js";
import { account, accountId, accounts, feed, figures, isStale, levels, link, positions, symbol } from "./store.js";

const DASH = "\u2013";
const shown = (pick, format = money) => computed(() => (figures.value ? format(pick(figures.value)) : DASH));

const level = computed(() => {
  const now = figures.value;
  return now && now.used > 0n ? percent(now.crossEquity, now.used, 0) : DASH;
});
// At the call level the account is in danger; below twice that it deserves a look.
const levelTone = computed(() => {
  const [now, terms] = [figures.value, levels.value];
  if (!now || !terms || now.used === 0n) return "";
  if (now.crossEquity <= equityAt(terms.call, now.used)) return "loss";
  return now.crossEquity <= equityAt(2n * terms.call, now.used) ? "warn" : "";
});
const pnlTone = computed(() => tone(figures.value?.pnl ?? 0n));
const stopOut = computed(() => (levels.value ? levelText(levels.value.stopOut) : DASH));

/** Return the class that colours a result. */
export function tone(micros) {
  if (micros === 0n) return "";
  return micros > 0n ? "gain" : "loss";
}

/** Return a formula with the numbers that stand now, below its words. */
const withNumbers = (numbers) => computed(() => (figures.value ? numbers(figures.value) : ""));

const FIGURES = [
  {
    id: "balance",
    name: "Balance",
    text: shown((f) => f.balance),
    why: "Settled money: deposits, closed results and fees. Open positions do not change it.",
    numbers: withNumbers(() => ""),
  },
  {
    id: "pnl",
    name: "Open P&L",
    text: shown((f) => f.pnl, signedMoney),
    tone: pnlTone,
    why: "Sum over open positions: (closing price − entry) × quantity, the other way round for shorts.",
    numbers: withNumbers(() => `${positions.value.length} open`),
  },
  {
    id: "equity",
    name: "Equity",
    text: shown((f) => f.equity),
    why: "Balance + open P&L: what the account is worth if everything closes now.",
    numbers: withNumbers((f) => `${money(f.balance)} + (${signedMoney(f.pnl)}) = ${money(f.equity)}`),
  },
  {
    id: "used",
    name: "Used margin",
    text: shown((f) => f.used),
    why: "Sum over cross positions: entry price × quantity ÷ leverage. Locked until they close.",
    numbers: withNumbers((f) => (f.isolated ? `and ${money(f.isolated)} in isolated positions` : "")),
  },
  {
    id: "free",
    name: "Free margin",
    text: shown((f) => f.free),
    why: "Equity of cross positions − used margin: what new orders may lock.",
    numbers: withNumbers((f) => `${money(f.crossEquity)} − ${money(f.used)} = ${money(f.free)}`),
  },
  {
    id: "level",
    name: "Margin level",
    text: level,
    tone: levelTone,
    why: "Equity ÷ used margin. At the call level you are warned, at the stop-out level positions are closed, largest loss first.",
    numbers: withNumbers((f) => (f.used ? `${money(f.crossEquity)} ÷ ${money(f.used)}` : "no margin is used")),
  },
  {
    id: "stop-out",
    name: "Stop-out",
    text: stopOut,
    why: "The margin level at which positions are closed for you.",
    numbers: withNumbers((f) => {
      if (!levels.value) return "";
      const call = `Margin call at ${levelText(levels.value.call)}`;
      return f.used ? `${call}; stop-out at ${money(equityAt(levels.value.stopOut, f.used))} of equity` : call;
    }),
  },
];
const WITHOUT_UNIT = new Set(["level", "stop-out"]);

export function AccountBar() {
  return html`<dl class="figures">
    ${FIGURES.map(
      ({ id, name, text, tone: className = "", why, numbers }) => html`<div
        class="figure" key=${id} data-figure=${id} tabindex="0" aria-describedby="formula-${id}"
      >
        <dt>${name}</dt>
        <dd class=${className}>${text}${WITHOUT_UNIT.has(id) ? "" : html`<small> USD</small>`}</dd>
        <span class="formula" role="tooltip" id="formula-${id}">${why}<b class="number">${numbers}</b></span>
      </div>`,
    )}
  </dl>`;
}

// --- which account ---------------------------------------------------------------------------------------------------

const KINDS = { demo: "Demo", live: "Live" };

/** The account on the screen, marked when its money is play money, and the others to change to. */
export function Switcher({ onChoose, onOpen, onFill }) {
  const now = account.value;
  if (!accountId.value) return null;
  const kind = now?.kind ?? "demo";
  const then = (event, run) => {
    event.target.closest("details").open = false;
    run();
  };
  return html`<details class="menu switcher">
    <summary aria-label="Account ${accountId.value}, ${KINDS[kind]}. Change account"><span class="badge ${kind}">${KINDS[kind]}</span>
      <span class="number switcher-id">${accountId.value}</span><i class="caret" aria-hidden="true"></i></summary>
    <div class="menu-body">
      <p class="menu-who">${kind === "demo" ? "Play money: nothing here can be lost or paid out." : "Real money."}</p>
      ${accounts.value.map(
        (row) => html`<button
          key=${row.id} type="button" disabled=${!row.isOpen} aria-pressed=${row.id === accountId.value}
          onClick=${(event) => then(event, () => onChoose(row.id))}
        ><span class="badge ${row.kind}">${KINDS[row.kind]}</span> ${row.name || row.id}
          <small class="muted">${row.isOpen ? (row.isDefault ? "default" : "") : "waits for approval"}</small></button>`,
      )}
      ${kind === "demo" && html`<button type="button" onClick=${(event) => then(event, onFill)}>Add play money</button>`}
      <button type="button" onClick=${(event) => then(event, onOpen)}>Open another demo account</button>
      <a href="/portfolio?account=${accountId.value}">Portfolio and statements</a>
    </div>
  </details>`;
}

// --- line and feed ---------------------------------------------------------------------------------------------------

const BADGES = { simulated: "Simulated", replay: "Replay" };
const EXPLAINED = {
  simulated: "Prices are made by a simulator. They are not market prices.",
  replay: "Prices are replayed from a recorded tape. They are not today's market prices.",
};
const LINE = { connecting: "Connecting", waiting: "Reconnecting", silent: "No answer" };

export function Connection() {
  const { state, latencyMs } = link.value;
  const { sourceClass, name, isFed, ageMs } = feed.value;
  const isOpen = state === "open";
  const isGood = isOpen && isFed && !isStale.value;
  const words = !isOpen ? LINE[state] : !isFed ? "No prices" : isStale.value ? `${symbol.value} is stale` : "Connected";
  const title = name ? `Feed ${name}, newest price ${ageMs ?? "?"} ms old` : "";
  return html`
    ${BADGES[sourceClass] && html`<span class="badge" title=${EXPLAINED[sourceClass]}>${BADGES[sourceClass]}</span>`}
    <span class="line ${isGood ? "good" : "warn"}" role="status" title=${title}>
      <i aria-hidden="true"></i><span class="line-words">${words}</span>
      ${isOpen && latencyMs !== null && html`<span class="line-latency number">${latencyMs} ms</span>`}
      ${name && html`<span class="line-feed">${name}</span>`}
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
