// Keeps a page of the back office current: fetches it again and takes over what is marked as live. Nothing is fetched while the
// page is hidden or the box is not ticked; what the reader holds (focus, scrolling) stays.

const office = document.querySelector("[data-refresh-seconds]");
const box = office.querySelector("[data-office-refresh]");
const fault = office.querySelector("[data-office-fault]");
const KEY = "office-refresh";

box.checked = localStorage.getItem(KEY) !== "off";
box.closest("label").hidden = false;
box.addEventListener("change", () => {
  localStorage.setItem(KEY, box.checked ? "on" : "off");
  if (box.checked) refresh();
});

/** Return the path of an element within the part that is replaced, to find the same place in the new one. */
function placeOf(element, part) {
  const place = [];
  for (let one = element; one !== part; one = one.parentElement) place.unshift([...one.parentElement.children].indexOf(one));
  return place;
}

function take(part, fresh) {
  const held = part.contains(document.activeElement) ? placeOf(document.activeElement, part) : null;
  const scrolled = [...part.querySelectorAll(".office-scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".office-scroll").forEach((one, number) => {
    const [left, top] = scrolled[number] ?? [0, 0];
    one.scrollTo(left, top);
  });
  held?.reduce((one, number) => one?.children[number], part)?.focus?.({ preventScroll: true });
}

// Where the figures take long to sum up they are asked for less often: a tenth of the time at most.
const SHARE = 10;
const PACE_MS = Number(office.dataset.refreshSeconds) * 1000;
let isAsking = false;
let timer = 0;

function later(tookMs) {
  clearTimeout(timer);
  timer = setTimeout(refresh, Math.max(PACE_MS, SHARE * tookMs));
}

async function refresh() {
  if (isAsking || document.hidden || !box.checked) return;
  isAsking = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    // Signed out meanwhile, or the right is gone: the page itself says so.
    if (answer.redirected || answer.status === 403) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of office.querySelectorAll("[data-office-live]")) {
      const fresh = page.querySelector(`[data-office-live="${part.dataset.officeLive}"]`);
      if (fresh) take(part, fresh);
    }
    office.dataset.refreshed = String(Number(office.dataset.refreshed ?? 0) + 1);
    fault.hidden = true;
  } catch {
    fault.hidden = false;
  } finally {
    isAsking = false;
    later(performance.now() - began);
  }
}

later(0);
document.addEventListener("visibilitychange", refresh);
