// Preact's `h` behind htm's template tag: the one import that every component needs.

import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
