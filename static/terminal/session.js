// The account on the screen: which one it is, asking for its state, taking in its events, and telling of those that were
// missed. The socket's snapshots and events come here; what they mean for the trader is notices.js.

import { Refusal, accountUse, accountsGet, balanceGet, closedGet, demoOpen, demoTopUp, eventsGet, ledgerGet, ordersGet, positionsGet } from "./api.js";
import { grouped, trimZeros } from "./format.js";
import { announce } from "./notices.js";
import { accountChosen, eventsSeen } from "./prefs.js";
import { snapshotFrom } from "./shapes.js";
import { accountApply, accountClear, accountId, accounts, closed, isClosedMore, ledger, ledgerNext } from "./store.js";
import { toast } from "./toasts.js";

let line = null;
let refreshing = null;
let isRefreshWanted = false;
let isLedgerWanted = false;
// Account id -> number of the last event that has been taken in.
const seqs = new Map();
// Accounts whose missed events have been told.
const caughtUp = new Set();

/** Take the line whose channels follow the account. */
export const sessionStart = (socket) => (line = socket);

/** What the server is to resume from after a broken line. */
export const resumeFrom = () => Object.fromEntries(seqs);

export function explain(title, error) {
  if (!(error instanceof Refusal || error instanceof TypeError)) throw error;
  toast("bad", title, error instanceof Refusal ? error.message : "The server cannot be reached.");
}

// --- which account ---------------------------------------------------------------------------------------------------

async function accountsFetch() {
  accounts.value = (await accountsGet()).map((row) => ({
    id: Number(row.accountId),
    kind: row.kind,
    name: row.name ?? "",
    isDefault: row.isDefault === true,
    isOpen: row.isOpen !== false,
  }));
}

/** Find the account to show: the one chosen last, else the default one. Errors: Refusal, TypeError. */
export async function accountFind() {
  await accountsFetch();
  const chosen = accounts.value.find(({ id }) => id === accountChosen.value);
  const first = chosen ?? accounts.value.find(({ isDefault }) => isDefault) ?? accounts.value[0];
  if (first) await accountShow(first.id);
}

/** Open one more demo account and show it. */
export async function demoAdd() {
  try {
    const id = await demoOpen();
    await accountsFetch();
    await accountShow(id);
    toast("good", `Demo account ${id} opened`);
  } catch (error) {
    explain("No account was opened", error);
  }
}

/** Add play money to the account on the screen. */
export async function demoFill() {
  try {
    const { amount } = await demoTopUp(accountId.value);
    toast("good", `${grouped(trimZeros(amount))} USD of play money added`);
  } catch (error) {
    explain("No money was added", error);
  }
}

/** Show another account of the user's. */
export function accountShow(id) {
  if (accountId.value) line.unsubscribe([`account:${accountId.value}`]);
  accountUse(id);
  accountClear();
  accountId.value = accountChosen.value = id;
  line.subscribe([`account:${id}`]);
  return accountRefresh();
}

// --- its state -------------------------------------------------------------------------------------------------------

async function stakesFetch() {
  const id = accountId.value;
  const [own, openRows, orderRows] = await Promise.all([balanceGet(), positionsGet(), ordersGet()]);
  // Another account may have been chosen meanwhile: this answer is about the former one.
  if (id === accountId.value) accountApply({ balanceText: own.balance, levels: own.levels, openRows, orderRows });
}

const PAGE = 50;
const keyOf = (row) => row.seq ?? `${row.id} ${row.closedAt}`;

/** Return newer rows before older ones, none twice; null where the two do not meet, so that rows between them are missing. */
function joined(newer, older) {
  const keys = new Set(newer.map(keyOf));
  const rest = older.filter((row) => !keys.has(keyOf(row)));
  return rest.length < older.length ? [...newer, ...rest] : null;
}

async function historyFetch() {
  const id = accountId.value;
  const rows = await closedGet({ limit: PAGE });
  if (id !== accountId.value) return;
  const known = joined(rows, closed.peek());
  if (!known) isClosedMore.value = rows.length === PAGE;
  closed.value = known ?? rows;
  if (isLedgerWanted && id) {
    const { entries, next } = await ledgerGet(id, { limit: PAGE });
    if (id !== accountId.value) return;
    const all = joined(entries, ledger.peek() ?? []);
    if (!all) ledgerNext.value = next;
    ledger.value = all ?? entries;
  }
}

/** Ask for closings that are older than those on the screen. */
export async function closedOlder() {
  const id = accountId.value;
  try {
    const rows = await closedGet({ limit: PAGE, offset: closed.peek().length });
    if (id !== accountId.value) return;
    isClosedMore.value = rows.length === PAGE;
    // What was closed meanwhile has moved the pages on.
    closed.value = joined(closed.peek(), rows) ?? [...closed.peek(), ...rows];
  } catch (error) {
    explain("The history could not be read", error);
  }
}

/** Ask for entries of the ledger that are older than those on the screen. */
export async function ledgerOlder() {
  const id = accountId.value;
  try {
    const { entries, next } = await ledgerGet(id, { cursor: ledgerNext.peek(), limit: PAGE });
    if (id !== accountId.value) return;
    ledgerNext.value = next;
    ledger.value = [...ledger.peek(), ...entries];
  } catch (error) {
    explain("The ledger could not be read", error);
  }
}

/** Ask for the account's state. Wishes that come while one is under way are answered by one more, made after it. */
export function accountRefresh() {
  isRefreshWanted = true;
  refreshing ??= (async () => {
    try {
      while (isRefreshWanted) {
        isRefreshWanted = false;
        // Side by side: the history waits for the projector, and the money at stake must not wait with it.
        await Promise.all([stakesFetch(), historyFetch()]);
      }
    } catch (error) {
      explain("The account could not be read", error);
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

/** The ledger is asked for from now on: somebody looks at it. */
export function ledgerFollow() {
  isLedgerWanted = true;
  return accountRefresh();
}

// --- its events ------------------------------------------------------------------------------------------------------

function seen(id, seq) {
  seqs.set(id, seq);
  if ((eventsSeen.peek()[id] ?? 0) < seq) eventsSeen.value = { ...eventsSeen.peek(), [id]: seq };
}

/** Tell of what happened while no page was open, each thing once. */
async function catchUp(id, seq) {
  if (caughtUp.has(id)) return;
  caughtUp.add(id);
  const before = eventsSeen.peek()[id];
  seen(id, seq);
  // A browser that has never seen this account has missed nothing.
  if (before === undefined || before >= seq) return;
  try {
    const missed = await eventsGet(id, before);
    for (const { seq: number, d } of missed.events) if (Number(number) <= seq) announce(d, { isLate: true });
  } catch (error) {
    explain("What happened meanwhile could not be read", error);
  }
}

/** Take in a frame of the account's channel: its whole state once, then what has happened, event by event. */
export function accountHear(frame) {
  const id = Number(frame.id);
  const seq = Number(frame.seq);
  if (id !== accountId.value) return;
  if (frame.snapshot) {
    accountApply(snapshotFrom(frame.snapshot));
    catchUp(id, seq);
    seen(id, seq);
    return;
  }
  const last = seqs.get(id) ?? 0;
  if (seq <= last) return;
  seen(id, seq);
  announce(frame.d);
  // Whatever was missed in between, the state that is asked for now contains it.
  accountRefresh();
}
