// From what a trader types to whole units and ticks: quantities by money or margin, stops by distance or result, tiers.
// Pure: no DOM, no signals, tested by Node. All numbers are BigInt in the units of format.js.

import { MONEY_DECIMALS, ceilDivide, floorDivide, microsPerTickUnit, notionalMicros, toUnits } from "./format.js";

/** A first order of about this much, micro-USD: visible on the screen, harmless to the account. */
export const SUGGESTED_MICROS = 1_000_000_000n;

/** Round a quantity down to the instrument's step. */
export function stepDown(instrument, units) {
  const step = toUnits(instrument.quantityStep, instrument.quantityDecimals) || 1n;
  return units - (units % step);
}

/** Return the largest quantity whose value at a price is at most `micros`. */
export function unitsForValue(instrument, priceTicks, micros) {
  const perUnit = priceTicks * microsPerTickUnit(instrument);
  return perUnit > 0n ? stepDown(instrument, micros / perUnit) : 0n;
}

/** Return the largest quantity that locks at most `percent` of the free margin at a leverage. */
export function unitsForShare(instrument, priceTicks, { freeMicros, percent, leverage }) {
  if (freeMicros <= 0n) return 0n;
  return unitsForValue(instrument, priceTicks, (freeMicros * percent * BigInt(leverage)) / 100n);
}

/**
 * Return the quantity that the text means, units; null if it is no number. `mode` is "units", "usd" (value of the
 * order) or "percent" (share of the free margin).
 */
export function unitsFrom(instrument, { mode, text, priceTicks, freeMicros, leverage }) {
  if (mode === "units") return toUnits(text, instrument.quantityDecimals);
  if (!priceTicks) return null;
  if (mode === "usd") {
    const micros = toUnits(text, MONEY_DECIMALS);
    return micros === null || micros < 0n ? null : unitsForValue(instrument, priceTicks, micros);
  }
  const percent = toUnits(text, 0);
  if (percent === null || percent < 0n || percent > 100n) return null;
  return unitsForShare(instrument, priceTicks, { freeMicros: freeMicros ?? 0n, percent, leverage });
}

/** Which way a stop lies from the entry: +1 above, -1 below. `kind` is "stopLoss" or "takeProfit". */
const way = (kind, side) => ((kind === "takeProfit") === (side === "buy") ? 1n : -1n);

/**
 * Return the price of a stop, ticks; null if the text means none. `mode` is "price", "distance" (from the entry) or
 * "money" (result there, before commission). A loss by money is never larger and a profit never smaller than asked for.
 */
export function stopTicks(instrument, { kind, mode, text, side, entryTicks, units }) {
  if (mode === "price") return toUnits(text, instrument.priceDecimals);
  if (!entryTicks) return null;
  if (mode === "distance") {
    const distance = toUnits(text, instrument.priceDecimals);
    return distance === null || distance <= 0n ? null : entryTicks + way(kind, side) * distance;
  }
  const micros = toUnits(text, MONEY_DECIMALS);
  if (micros === null || micros <= 0n || !units || units <= 0n) return null;
  const perTick = units * microsPerTickUnit(instrument);
  const distance = kind === "stopLoss" ? floorDivide(micros, perTick) : ceilDivide(micros, perTick);
  return entryTicks + way(kind, side) * distance;
}

/** Return the first leverage tier that a value falls into; the last one if it is above all caps. */
export function tierFor(instrument, valueMicros) {
  const { tiers } = instrument;
  return tiers.find((tier) => valueMicros <= tier.capMicros) ?? tiers.at(-1);
}

/** Return a quantity worth about `micros` with one digit that counts, at least the lowest allowed. */
export function suggestedUnits(instrument, priceTicks, micros) {
  const perUnit = notionalMicros(instrument, priceTicks, 1n);
  const digits = (micros / (perUnit || 1n)).toString();
  const rounded = stepDown(instrument, BigInt(digits[0] + "0".repeat(digits.length - 1)));
  const lowest = toUnits(instrument.quantityMin, instrument.quantityDecimals) ?? 1n;
  return rounded > lowest ? rounded : lowest;
}

/** Move a price by whole ticks so that it lies on the side of `limit` that `isAbove` says; for stops that are dragged. */
export function clampTicks(ticks, limit, isAbove) {
  if (isAbove) return ticks > limit ? ticks : limit;
  return ticks < limit ? ticks : limit;
}
