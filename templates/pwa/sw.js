{% load static %}// The service worker: prices and money are never served from a cache, so it does one thing only. When the network
// is away, it answers a navigation with the page that says so.

const CACHE = "offline-1";
const OFFLINE = "{% url 'offline' %}";
const PARTS = [OFFLINE, "{% static 'css/base.css' %}", "{% static 'css/pages.css' %}", "{% static 'js/theme.js' %}", "{% static 'js/pwa.js' %}", "{% static 'img/logo.svg' %}"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(PARTS)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name !== CACHE && name.startsWith("offline-");
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.mode === "navigate" && event.request.method === "GET") {
    event.respondWith(fetch(event.request).catch(() => caches.match(OFFLINE)));
  } else if (PARTS.includes(new URL(event.request.url).pathname)) {
    event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
  }
});
