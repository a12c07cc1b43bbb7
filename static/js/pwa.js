// Makes the site installable. A classic script, so that pages without modules have it too.
if ("serviceWorker" in navigator) {
  addEventListener("load", () => {
    // Refused on plain http other than localhost: the site works without it.
    navigator.serviceWorker.register("/sw.js").catch(() => {});
  });
}
