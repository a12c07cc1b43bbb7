// Decimal text, whole numbers and how both are shown. Pure: no DOM, no signals, tested by Node.
//
// Money is micro-USD, a price is ticks of 10^-priceDecimals, a quantity is units of 10^-quantityDecimals, all BigInt.
// A JavaScript number never holds any of them: 0.1 + 0.2 would be the trader's loss.

export const MONEY_DECIMALS = 6;
const MINUS = "\u2212";
const PLAIN = /^-?\d+(\.\d+)?$/;

/** Return decimal text as a whole number of 10^-decimals; null if it is no plain decimal or has too many decimals. */
export function toUnits(text, decimals) {
  const trimmed = String(text ?? "").trim();
  if (!PLAIN.test(trimmed)) return null;
  const [whole, fraction = ""] = trimmed.split(".");
  const significant = fraction.replace(/0+$/, "");
  if (significant.length > decimals) return null;
  const sign = whole.startsWith("-") ? -1n : 1n;
  return sign * BigInt(whole.replace("-", "") + significant.padEnd(decimals, "0"));
}

/** Return the decimal text of a whole number of 10^-decimals, with all its decimals: (775121n, 1) -> "77512.1". */
export function toText(units, decimals) {
  const digits = (units < 0n ? -units : units).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const sign = units < 0n ? "-" : "";
  return decimals ? `${sign}${whole}.${digits.slice(-decimals)}` : sign + whole;
}

/** Return decimal text without idle zeros at its end: "0.10000" -> "0.1". */
export function trimZeros(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Return decimal text with thousands set apart and a true minus sign: "-1234567.5" -> "−1,234,567.5". */
export function grouped(text) {
  const [whole, fraction] = text.replace("-", MINUS).split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}

/** Show a quantity given as text by the server: thousands set apart, without idle zeros. */
export const amount = (text) => grouped(trimZeros(text));

/** Divide whole numbers, rounding towards minus infinity. */
export function floorDivide(dividend, divisor) {
  const quotient = dividend / divisor;
  const isBelow = dividend % divisor !== 0n && dividend < 0n !== divisor < 0n;
  return isBelow ? quotient - 1n : quotient;
}

/** Divide whole numbers, rounding towards plus infinity. */
export function ceilDivide(dividend, divisor) {
  return -floorDivide(-dividend, divisor);
}

/** Show micro-USD with cents. Rounded down, so that nothing looks better than it is. */
export function money(micros) {
  return grouped(toText(floorDivide(micros, 10_000n), 2));
}

/** Show what was paid or lost, micro-USD, with cents. Rounded up, for the same reason. */
export function cost(micros) {
  return grouped(toText(ceilDivide(micros, 10_000n), 2));
}

/** Show micro-USD with cents and the sign of a gain too, for readers who cannot tell green from red. */
export function signedMoney(micros) {
  return (micros > 0n ? "+" : "") + money(micros);
}

/** Show a share of `whole` in per cent with `decimals`, rounded down; a dash if there is no whole. */
export function percent(part, whole, decimals = 2) {
  if (whole <= 0n) return "\u2013";
  const scaled = floorDivide(part * 100n * 10n ** BigInt(decimals), whole);
  return `${grouped(toText(scaled, decimals))}%`;
}

/** Show a price given as text by the server: thousands set apart, decimals untouched. */
export function price(text) {
  return text ? grouped(text) : "\u2013";
}

/** Show a price with the way it moved last ("up", "down"), for readers who cannot tell green from red. */
export function movedPrice(text, move) {
  return (move.startsWith("up") ? "\u25b4\u200a" : move.startsWith("down") ? "\u25be\u200a" : "") + price(text);
}

/** Return micro-USD per tick and unit: the factor that makes price × quantity exact money. */
export function microsPerTickUnit(instrument) {
  return 10n ** BigInt(MONEY_DECIMALS - instrument.priceDecimals - instrument.quantityDecimals);
}

/** Return price × quantity in micro-USD, exact. */
export function notionalMicros(instrument, priceTicks, quantityUnits) {
  return priceTicks * quantityUnits * microsPerTickUnit(instrument);
}

/** Return the result of a position closed at `closeTicks`, micro-USD, exact. */
export function pnlMicros(instrument, { direction, entryTicks, quantityUnits }, closeTicks) {
  const move = direction === "long" ? closeTicks - entryTicks : entryTicks - closeTicks;
  return notionalMicros(instrument, move, quantityUnits);
}

/** Return what an order locks: notional over leverage, rounded up as the engine does. */
export function marginMicros(notional, leverage) {
  return ceilDivide(notional, BigInt(leverage));
}

/**
 * Parse JSON with every number as its own decimal text, since JSON.parse would round it to a binary fraction.
 * A token of a JSON text outside of its strings is a number exactly if it starts with a digit or a minus.
 */
export function parseExact(json) {
  const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  return JSON.parse(json.replace(token, (text) => (text.startsWith('"') ? text : `"${text}"`)));
}

/** Show an instant of the API (ISO 8601 text) as local time; the day only if it is not today, the year only if it is another. */
export function clock(iso, now = new Date()) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "\u2013";
  const time = at.toLocaleTimeString("en-GB");
  if (at.toDateString() === now.toDateString()) return time;
  const year = at.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return `${at.toLocaleDateString("en-GB", { day: "2-digit", month: "short", year })} ${time}`;
}
