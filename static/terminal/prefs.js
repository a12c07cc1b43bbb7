// What this browser remembers for its user: choices of taste, never anything about money.

import { effect, signal } from "@preact/signals";

const PREFIX = "terminal.";

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    // Somebody else's words under our name, or no storage at all: the default will do.
    return null;
  }
}

/** Return a signal that outlives the page. `isValid` guards against what an older version may have left. */
export function remembered(name, initial, isValid = (value) => typeof value === typeof initial) {
  const stored = read(name);
  const kept = signal(stored !== null && isValid(stored) ? stored : initial);
  effect(() => {
    const text = JSON.stringify(kept.value);
    try {
      localStorage.setItem(PREFIX + name, text);
    } catch {
      // A full or forbidden storage costs the memory of a choice, nothing else.
    }
  });
  return kept;
}

const isTextList = (value) => Array.isArray(value) && value.every((item) => typeof item === "string");

/** How an order is let go: "confirm" asks once more, "double" takes two clicks, "single" sends at once. */
export const orderMode = remembered("orderMode", "confirm", (mode) => ["confirm", "double", "single"].includes(mode));
export const favourites = remembered("favourites", [], isTextList);
export const isFavouritesOnly = remembered("favouritesOnly", false);
export const interval = remembered("interval", "1m");
export const chartType = remembered("chartType", "candles", (type) => ["candles", "line"].includes(type));
export const indicators = remembered("indicators", [], isTextList);
export const isSoundOn = remembered("sound", false);
export const isThisSymbolOnly = remembered("thisSymbolOnly", false);
export const isGrouped = remembered("grouped", false);
/** The account that was looked at last; 0 is the default one. */
export const accountChosen = remembered("account", 0);
/** Account id -> number of the last event that its user has been told of. */
export const eventsSeen = remembered("eventsSeen", {}, (value) => typeof value === "object" && value !== null);

export function favouriteToggle(symbol) {
  const kept = favourites.value.filter((name) => name !== symbol);
  favourites.value = kept.length === favourites.value.length ? [...kept, symbol] : kept;
}
