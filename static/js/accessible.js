// Gives names to controls that other people's pages (browsable answers, explorer, reference, back office) leave without one,
// and keeps focus out of where it does not belong. Those pages change under way, so whatever comes is looked at too.

// How a page of somebody else is mended: [which elements, what is done to one].
const MENDINGS = [
  // Browsable answers: labels stand beside their controls without belonging to them.
  [".form-group > label + div > :is(input, select, textarea)", (control) => nameBy(control, control.parentElement.previousElementSibling.textContent)],
  ["#data-form-content, textarea[name='_content']", (control) => nameBy(control, "Content")],
  [".dropdown-toggle", (button) => nameBy(button, button.dataset.originalTitle || button.title)],
  // The explorer: a link inside of a button takes a focus that leads nowhere else.
  [".opblock-summary-control a.nostyle[href], .opblock-tag a.nostyle[href]", (link) => link.removeAttribute("href")],
  [".microlight, .example pre, .redoc-wrap pre", (block) => (block.tabIndex = 0)],
  [".body-param__text", (area) => nameBy(area, "Body")],
  [".close-modal", (button) => nameBy(button, "Close")],
  [".examples-select-element", (select) => nameBy(select, "Example")],
  [".content-type", (select) => nameBy(select, "Media type")],
  // The back office: dates and times are two controls under one label; tags are searched in a field of their own.
  [".vDateField", (control) => nameBy(control, `${labelOf(control)}: date`)],
  [".vTimeField", (control) => nameBy(control, `${labelOf(control)}: time`)],
  [".select2-search__field", (control) => nameBy(control, "Search")],
  ["#action-toggle", (box) => nameBy(box, "Select all")],
  [".action-select", (box) => nameBy(box, "Select this row")],
  [".help-tooltip[aria-label]", (mark) => mark.setAttribute("role", "img")],
];

function labelOf(control) {
  const name = control.id.replace(/_[01]$/, "");
  return document.querySelector(`label[for="${name}_0"], label[for="${name}"]`)?.textContent.trim() || control.name.replace(/_[01]$/, "");
}

function nameBy(control, text) {
  const isNamed = control.labels?.length || control.hasAttribute("aria-label");
  if (!isNamed && text.trim()) control.setAttribute("aria-label", text.trim());
}

function mend() {
  for (const [which, how] of MENDINGS) document.querySelectorAll(which).forEach(how);
}

let isDue = false;

/** Mend in the next frame: what changes in one stroke is looked at once. */
function mendSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    mend();
  });
}

document.documentElement.lang ||= "en";
mend();
addEventListener("DOMContentLoaded", mend);
new MutationObserver(mendSoon).observe(document.documentElement, { childList: true, subtree: true });
