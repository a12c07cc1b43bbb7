// The prices of 24 hours ago, asked for all instruments at once and renewed now and then: the change of the day is made of
// them and of what arrives live.

import { call } from "./api.js";
import { dayOpens } from "./store.js";

const EVERY_MS = 60_000;

async function dayOpensFetch() {
  if (document.hidden) return;
  const rows = await call("GET", "/prices/dayAgo");
  dayOpens.value = new Map(rows.map((row) => [row.asset, row.price]));
}

/** Keep the prices of a day ago up to date; without them the lists show a dash. */
export function dayOpensFollow() {
  const tick = () => dayOpensFetch().catch(() => {});
  tick();
  setInterval(tick, EVERY_MS);
}
