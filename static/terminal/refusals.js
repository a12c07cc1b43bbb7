// The engine's refusals as people read them. The API speaks English, in lower case and with every digit; a page brings the
// sentences of its reader's language along, in its element `refusals`: {code: [sentences from the most to the least telling, names
// of their numbers in braces]}.

import { MONEY_DECIMALS, amount, cost, money, toUnits } from "./format.js";

// Names and no numbers, though they are written in digits.
const IDS = new Set(["account", "requestId", "cashSeq", "cashSeqExpected"]);
// What somebody asks for; everything else in USD is what there is.
const ASKED_FOR = new Set(["required", "notional", "amount"]);
const NUMBER = /^-?\d+(\.\d+)?$/;
const PLACE = /\{(\w+)\}( USD)?/g;

/** Begin a sentence as people write it. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Show one number of a refusal; money in cents, so that what was too much never looks like enough. */
function shown(name, text, isMoney) {
  if (IDS.has(name) || !NUMBER.test(text)) return text;
  if (isMoney) return (ASKED_FOR.has(name) ? cost : money)(toUnits(text, MONEY_DECIMALS));
  return amount(text);
}

/** Return the sentence of a code with the numbers of `data`; null where none is known or their numbers are missing. */
export function wordsOf(sentences, code, data) {
  const numbers = new Map(Object.entries(data ?? {}).filter(([, value]) => value !== null));
  const named = (text) => [...text.matchAll(PLACE)].map((match) => match[1]);
  const told = (sentences[code] ?? []).find((text) => named(text).every((name) => numbers.has(name)));
  if (told === undefined) return null;
  return sentence(told.replace(PLACE, (_, name, unit = "") => shown(name, String(numbers.get(name)), Boolean(unit)) + unit));
}

let brought = null;

/** Return the words of this page for a refusal, null where the server's own are the best. */
export function pageWordsOf(code, data) {
  brought ??= JSON.parse(globalThis.document?.getElementById("refusals")?.textContent ?? "{}");
  return wordsOf(brought, code, data);
}

// "stopLoss: expected a number": the contract's name of a field, and what is wrong with it.
const FIELD = /^[a-z]+(?:[A-Z][a-z]+)+(?=: )/;
const spaced = (name) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** Return what a person is told of an answer that says no: the page's words, else the server's. */
export const toldOf = ({ code, data, message }) => pageWordsOf(code, data) ?? (message ? sentence(message.replace(FIELD, spaced)) : null);
