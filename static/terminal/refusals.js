// The engine's refusals in the reader's language. The API speaks English; a page for somebody else brings the sentences along, in
// its element `refusals`: {code: [sentences from the most to the least telling, names of their numbers in braces]}.

/** Return the sentence of a code with the numbers of `data`; null where none is known or their numbers are missing. */
export function wordsOf(sentences, code, data) {
  const numbers = new Map(Object.entries(data ?? {}).filter(([, value]) => value !== null));
  const named = (sentence) => [...sentence.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const told = (sentences[code] ?? []).find((sentence) => named(sentence).every((name) => numbers.has(name)));
  return told?.replace(/\{(\w+)\}/g, (_, name) => plain(String(numbers.get(name)))) ?? null;
}

/** Leave out zeros that say nothing: people read 10 and not 10.000000. */
const plain = (text) => (/^-?\d+\.\d+$/.test(text) ? text.replace(/\.?0+$/, "") : text);

let brought = null;

/** Return the words of this page for a refusal, null where the server's own are the best. */
export function pageWordsOf(code, data) {
  brought ??= JSON.parse(document.getElementById("refusals")?.textContent ?? "{}");
  return wordsOf(brought, code, data);
}
