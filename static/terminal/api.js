// The REST contract as functions. Answers become the shapes of the store here (shapes.js), and nowhere else does the
// terminal know addresses of the wire. Numbers stay decimal text.

import { parseExact } from "./format.js";
import { toldOf } from "./refusals.js";
import { closedFrom, instrumentFrom, ledgerFrom, levelsFrom, orderFrom, positionFrom, previewFrom } from "./shapes.js";

const BASE = "/api/v1";
const RETRY_DELAYS_MS = [300, 1000, 2000];

let accountId = 0;
let isSigningOut = false;

/** Let everything that follows mean this account; 0 is the user's default one. */
export function accountUse(id) {
  accountId = id;
}

/** The server said no, in words; `code` is stable, `message` is for people. */
export class Refusal extends Error {
  constructor(status, code, message, data = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.data = data;
  }
}

/** The trader signs out: the session ends, and with it the live line, before the answer to the form is here. */
export function signOutBegun() {
  isSigningOut = true;
}

/** Leave for the sign-in page, which comes back here; not if the trader is signing out, since that page is on its way. */
export function signInAgain() {
  if (isSigningOut) return;
  location.assign(`/?next=${encodeURIComponent(location.pathname)}#sign-in`);
}

/** Ask and return the answer's data; errors: Refusal, TypeError when there is no line to the server. */
export async function call(method, path, { body, requestId, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-CSRFToken"] = document.querySelector("meta[name=csrf-token]").content;
  if (requestId) headers["Idempotency-Key"] = requestId;
  const response = await fetch(BASE + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
    signal,
  });
  if (response.status === 401) {
    signInAgain();
    return new Promise(() => {});
  }
  const text = await response.text();
  let answer = {};
  try {
    answer = parseExact(text);
  } catch {
    // A proxy's error page; the status alone has to do.
  }
  if (!response.ok || answer.success === false) {
    const message = toldOf(answer) ?? `The server answered ${response.status}. Please try again.`;
    throw new Refusal(response.status, answer.code ?? "", message, answer.data ?? {});
  }
  return answer.data;
}

/** Return a path with the parameters that are given, and the account. */
function pathOf(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...parameters, accountId: accountId || null })) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  return query.size ? `${path}?${query}` : path;
}

/** Return an id for one wish of the trader. Repeating the same id can never trade twice. */
function requestIdCreate() {
  // Not randomUUID(): it is missing on plain http addresses in a local network.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const withAccount = (body) => (accountId ? { ...body, accountId } : body);

/** Post a trade. A time-out or a lost line means "unknown", so the same id asks again until the outcome is known. */
async function trade(path, body) {
  const requestId = requestIdCreate();
  for (const delay of [...RETRY_DELAYS_MS, null]) {
    try {
      return await call("POST", path, { body: withAccount(body), requestId });
    } catch (error) {
      const isUnknown = error instanceof TypeError || error.status === 408;
      if (!isUnknown) throw error;
      if (delay === null) {
        throw new Refusal(408, "UNKNOWN", "No answer yet. Look at your positions before you order again.");
      }
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}

// --- market ----------------------------------------------------------------------------------------------------------

export async function instrumentsGet() {
  return (await call("GET", "/supportedAssets")).map(instrumentFrom);
}

/** Return rows of [epoch ms, open, high, low, close, volume] as text, oldest first. */
export async function candlesGet({ symbol, interval, limit, endTime, signal }) {
  const query = new URLSearchParams({ symbol, interval, limit });
  if (endTime) query.set("endTime", endTime);
  return (await call("GET", `/candles?${query}`, { signal })).data;
}

// --- account ---------------------------------------------------------------------------------------------------------

/** Return the account's own numbers as text. */
export async function balanceGet() {
  const data = await call("GET", pathOf("/balance"));
  return {
    accountId: data.accountId,
    balance: data.message,
    pnl: data.unrealisedPnl,
    equity: data.equity,
    used: data.usedMargin,
    free: data.freeMargin,
    levels: levelsFrom(data),
  };
}

export async function accountsGet() {
  return call("GET", "/accounts");
}

/** Open one more demo account and return its id. */
export async function demoOpen() {
  return Number((await call("POST", "/accounts", { body: { kind: "demo" } })).accountId);
}

/** Add play money to a demo account. */
export const demoTopUp = (id) => call("POST", `/accounts/${id}/topUp`, { body: {}, requestId: requestIdCreate() });

// The most that one answer brings; an account may hold twice as many positions, and as many orders.
const PAGE = 100;

/** Return every row of a list of what is open or waits: the account's figures are sums over all of them. */
async function everyRow(path) {
  const rows = new Map();
  for (let offset = 0; ; offset += PAGE) {
    const page = (await call("GET", pathOf(path, { limit: PAGE, offset }))).message;
    // One that was opened between two answers moves the others on: by their ids nothing is there twice.
    for (const row of page) rows.set(row.orderId, row);
    if (page.length < PAGE) return [...rows.values()];
  }
}

export const positionsGet = async () => (await everyRow("/trade/open")).map(positionFrom);
export const ordersGet = async () => (await everyRow("/trade/pending")).map(orderFrom);

export async function closedGet({ limit = 50, offset = 0, ...filters } = {}) {
  return (await call("GET", pathOf("/trade/close", { limit, offset, ...filters }))).message.map(closedFrom);
}

/** Return a page of the ledger, newest first, and the cursor of the next one (null: there is none). */
export async function ledgerGet(id, { cursor, limit = 100 } = {}) {
  const query = new URLSearchParams({ limit });
  if (cursor) query.set("cursor", cursor);
  const data = await call("GET", `/accounts/${id}/ledger?${query}`);
  return { entries: data.entries.map(ledgerFrom), next: data.nextCursor };
}

/** Return the account's events after one that was seen, oldest first. */
export async function eventsGet(id, after) {
  return call("GET", `/accounts/${id}/events?after=${after}&limit=200`);
}

/** Return the figures of a time ({day}, {month} or {from, to}, days in UTC) as text: those of its statement. */
export const performanceGet = (id, period) => call("GET", `/accounts/${id}/performance?${new URLSearchParams(period)}`);

/** Have the worker make a statement; returns where it stands: {statementId, state, period, progress, fileFormat}. */
export const statementAsk = (id, wish) => call("POST", `/accounts/${id}/statements`, { body: wish });
export const statementState = (id, statementId) => call("GET", `/accounts/${id}/statements/${statementId}`);
export const statementFileUrl = (id, statementId) => `${BASE}/accounts/${id}/statements/${statementId}/file`;

export async function receiptGet(orderId) {
  return call("GET", `/trade/orders/${encodeURIComponent(orderId)}`);
}

// --- trading ---------------------------------------------------------------------------------------------------------

export async function previewGet(wish, signal) {
  return previewFrom(await call("POST", "/trade/preview", { body: withAccount(wish), signal }));
}

/** Place an order: the fields of the contract, without those that are empty. */
export const orderCreate = (wish) => trade("/trade/create", wish);

/** Close a position, or `quantity` of it, and return what became of it. */
export async function positionClose(id, quantity) {
  return closedFrom((await trade("/trade/close", quantity ? { orderId: id, quantity } : { orderId: id })).order);
}

/** Change the terms of a pending order or the stops of a position; null takes a stop away. */
export const orderModify = (id, changes) => trade("/trade/modify", { orderId: id, ...changes });

export const positionReverse = (id) => trade("/trade/reverse", { orderId: id });
export const orderCancel = (id) => trade("/trade/cancel", { orderId: id });
export const ordersCancelAll = (filter) => trade("/trade/cancelAll", filter);

/** Close all positions, or those of a symbol, side or sign of profit. */
export const positionsCloseAll = (filter) => trade("/trade/closeAll", filter);
