// Two short tones for those who switch them on: a fill, a warning. Made by the browser, so there is no file to fetch.

import { isSoundOn } from "./prefs.js";

const TONES = { good: [660, 880], info: [], bad: [330, 247] };
const SECONDS = 0.09;
let context = null;

/** Sound a tone, if sounds are wanted. */
export function ring(tone) {
  const notes = TONES[tone];
  if (!isSoundOn.peek() || notes.length === 0) return;
  context ??= new AudioContext();
  notes.forEach((frequency, index) => {
    const oscillator = context.createOscillator();
    const volume = context.createGain();
    const from = context.currentTime + index * SECONDS;
    oscillator.frequency.value = frequency;
    volume.gain.setValueAtTime(0.08, from);
    volume.gain.exponentialRampToValueAtTime(0.001, from + SECONDS);
    oscillator.connect(volume).connect(context.destination);
    oscillator.start(from);
    oscillator.stop(from + SECONDS);
  });
}
