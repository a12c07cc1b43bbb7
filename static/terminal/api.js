// The REST contract as functions. Answers become the shapes of the store here, and nowhere else does the terminal know
// field names of the wire. Numbers stay decimal text.

import { parseExact } from "./format.js";

const BASE = "/api/v1";
const RETRY_DELAYS_MS = [300, 1000, 2000];

/** The server said no, in words; `code` is stable, `message` is for people. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Leave for the sign-in page, which comes back here. */
export function signInAgain() {
  location.assign(`/?next=${encodeURIComponent(location.pathname)}`);
}

async function call(method, path, { body, requestId } = {}) {
  const headers = { Accept: "application/json" };
  if (body) {
    headers["Content-Type"] = "application/json";
    headers["X-CSRFToken"] = document.querySelector("meta[name=csrf-token]").content;
  }
  if (requestId) headers["Idempotency-Key"] = requestId;
  const response = await fetch(BASE + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
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
    const message = answer.message ?? `The server answered ${response.status}. Please try again.`;
    throw new Refusal(response.status, answer.code ?? "", message);
  }
  return answer.data;
}

/** Return an id for one wish of the trader. Repeating the same id can never trade twice. */
function requestIdCreate() {
  // Not randomUUID(): it is missing on plain http addresses in a local network.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Post a trade. A time-out or a lost line means "unknown", so the same id asks again until the outcome is known. */
async function trade(path, body) {
  const requestId = requestIdCreate();
  for (const delay of [...RETRY_DELAYS_MS, null]) {
    try {
      return await call("POST", path, { body, requestId });
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

const instrumentFrom = (row) => ({
  symbol: row.symbol,
  name: row.name,
  base: row.base ?? row.symbol.replace(/USDT$/, ""),
  priceDecimals: Number(row.priceDecimals),
  quantityDecimals: Number(row.quantityDecimals),
  quantityMin: row.minQuantity,
  quantityStep: row.quantityStep,
  leverageMax: Number(row.maxLeverage),
});

const positionFrom = (row) => ({
  id: row.orderId,
  symbol: row.symbol,
  direction: row.type === "buy" ? "long" : "short",
  quantity: row.quantity,
  entry: row.price,
  leverage: row.leverage,
  margin: row.margin,
  marginMode: row.marginMode,
  stopLoss: row.stopLoss,
  takeProfit: row.takeProfit,
  liquidation: row.liquidationPrice,
  openedAt: row.createdAt,
});

const closedFrom = (row) => ({
  id: row.orderId,
  symbol: row.symbol,
  direction: row.type === "buy" ? "long" : "short",
  quantity: row.quantity,
  entry: row.entryPrice,
  exit: row.closePrice,
  pnl: row.pnl,
  commission: row.commission,
  reason: row.closeReason,
  closedAt: row.closedAt,
});

/** Return the shapes of the store from the account's snapshot as the socket sends it. */
export const snapshotFrom = (snapshot) => ({
  balanceText: snapshot.balance,
  openRows: snapshot.positions.map(positionFrom),
});

export async function instrumentsGet() {
  return (await call("GET", "/supportedAssets")).map(instrumentFrom);
}

/** Return the account's own numbers: its id and balance as text. */
export async function balanceGet() {
  const data = await call("GET", "/balance");
  return { accountId: data.accountId, balance: data.message };
}

export async function positionsGet() {
  return (await call("GET", "/trade/open?limit=100")).message.map(positionFrom);
}

export async function closedGet() {
  return (await call("GET", "/trade/close?limit=50")).message.map(closedFrom);
}

/** Buy or sell at the market; stop prices are text or null. */
export function orderCreate({ symbol, side, quantity, leverage, stopLoss, takeProfit }) {
  const body = { symbol, type: side, quantity, leverage };
  if (stopLoss) body.stopLoss = stopLoss;
  if (takeProfit) body.takeProfit = takeProfit;
  return trade("/trade/create", body);
}

/** Close a whole position and return what became of it. */
export async function positionClose(id) {
  return closedFrom((await trade("/trade/close", { orderId: id })).order);
}
