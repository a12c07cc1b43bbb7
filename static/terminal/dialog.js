// One modal dialog at a time, by the browser's own <dialog>: focus stays inside, Esc closes, the page behind waits.

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "./html.js";

const current = signal(null);

/** Open a dialog: `title`, `body` (a component that gets `close`), `className`. Closes whatever was open. */
export function dialogOpen({ title, body, className = "", props = {} }) {
  current.value = { title, body, className, props };
}

export const dialogClose = () => (current.value = null);
export const isDialogOpen = () => current.value !== null;

export function Dialog() {
  const element = useRef(null);
  const open = current.value;
  // With its text, not a frame later: an Esc between the two would find neither a dialog nor the page.
  useLayoutEffect(() => {
    const dialog = element.current;
    if (open && !dialog.open) dialog.showModal();
    if (!open && dialog.open) dialog.close();
  }, [open]);
  // An Esc is known at once by its cancel event; the close event comes a task later, and keys pressed until then would mean nothing.
  const closeOutside = (event) => {
    if (event.target === element.current) dialogClose();
  };
  return html`<dialog
    ref=${element} class="dialog ${open?.className ?? ""}" aria-labelledby="dialog-title"
    onCancel=${dialogClose} onClose=${dialogClose} onPointerDown=${closeOutside}
  >
    ${
      open &&
      html`<div class="dialog-inside">
        <header><h2 id="dialog-title">${open.title}</h2>
          <button class="icon-button" type="button" aria-label="Close" onClick=${dialogClose}>×</button></header>
        <${open.body} ...${open.props} close=${dialogClose} />
      </div>`
    }
  </dialog>`;
}
