// How the figures of the landing page are worded. Pure: no DOM, tested by Node. They arrive as decimal text.

import { grouped } from "../terminal/format.js";

const DASH = "\u2013";

/** Show microseconds as milliseconds: two digits that count, never better than measured. */
export function latency(micros) {
  if (micros === null || micros === undefined) return DASH;
  const whole = BigInt(micros);
  if (whole < 10_000n) {
    const hundredths = (whole + 9n) / 10n;
    return `${hundredths / 100n}.${(hundredths % 100n).toString().padStart(2, "0")} ms`;
  }
  return `${grouped(((whole + 999n) / 1000n).toString())} ms`;
}

/** Show an amount of money without its cents: "1234567.89" -> "1,234,567". */
export const wholeMoney = (text) => grouped(String(text).split(".")[0]);

/** Show seconds in the two largest units that count: "3 d 4 h". */
export function duration(seconds) {
  let rest = Number(seconds);
  const parts = [];
  for (const [unit, length] of [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0 || (unit === "s" && parts.length === 0)) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}
