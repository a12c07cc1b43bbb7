// Small pictures for buttons; the button's own name says what they mean.

import { html } from "./html.js";

const PATHS = {
  edit: "M9.500 3.500l3 3L6 13H3v-3z M8 5l3 3",
  part: "M8 2.500a5.500 5.500 0 1 0 5.500 5.500H8z M10.500 2.700a5.500 5.500 0 0 1 2.800 2.800h-2.800z",
  reverse: "M3 6h9l-2.500-2.500M13 10H4l2.500 2.500",
  why: "M6 6a2 2 0 1 1 2.600 1.900c-.5.200-.6.500-.6 1.100v.300M8 11.500v.100M8 1.800a6.200 6.200 0 1 0 0 12.400A6.200 6.200 0 0 0 8 1.800z",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
