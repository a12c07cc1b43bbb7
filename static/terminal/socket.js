// One WebSocket for everything: subscribes, acknowledges frames, measures the line, reconnects with back-off.
// What frames mean is decided by the handlers given to `socketOpen`.

import { parseExact } from "./format.js";

const PRICES = '{"ch":"prices"';
const ACK_MS = 400;
const PING_MS = 5000;
// No frame at all for this long, although pings are out: the line is dead even if nobody said so.
const SILENCE_MS = 12_000;
// The server's word that the session has ended.
const CLOSE_UNAUTHORISED = 4401;
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000];

/**
 * Open the line and keep it open. `handlers`: prices(rows), account(frame), status(data), refused(frame),
 * link({state, latencyMs}), opened() after each (re)connection, signedOut(). Returns subscribe(channels).
 */
export function socketOpen(handlers) {
  const channels = new Set();
  let socket = null;
  let attempts = 0;
  let frame = 0;
  let acknowledged = 0;
  let heardAt = 0;

  const send = (message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  function receive({ data }) {
    heardAt = Date.now();
    // Prices are text already; everything else may carry numbers of which no digit may be lost.
    const message = data.startsWith(PRICES) ? JSON.parse(data) : parseExact(data);
    switch (message.ch) {
      case "prices":
        frame = message.n;
        handlers.prices(message.d);
        break;
      case "account":
        handlers.account(message);
        break;
      case "status":
        handlers.status(message.d);
        break;
      case "pong":
        handlers.link({ state: "open", latencyMs: Date.now() - Number(message.t) });
        break;
      case "reply":
        if (message.success === false) handlers.refused(message);
        break;
    }
  }

  function connect() {
    handlers.link({ state: "connecting", latencyMs: null });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/ws/`);
    socket.onopen = () => {
      attempts = 0;
      frame = acknowledged = 0;
      heardAt = Date.now();
      handlers.link({ state: "open", latencyMs: null });
      if (channels.size) send({ op: "subscribe", channels: [...channels] });
      send({ op: "ping", t: Date.now() });
      handlers.opened();
    };
    socket.onmessage = receive;
    socket.onclose = ({ code }) => {
      if (code === CLOSE_UNAUTHORISED) return handlers.signedOut();
      handlers.link({ state: "waiting", latencyMs: null });
      const delay = BACKOFF_MS[Math.min(attempts++, BACKOFF_MS.length - 1)];
      // Half of it by chance, so that a restarted server is not met by everybody in the same instant.
      setTimeout(connect, delay / 2 + (Math.random() * delay) / 2);
    };
  }

  setInterval(() => {
    if (frame === acknowledged) return;
    acknowledged = frame;
    send({ op: "ack", frame });
  }, ACK_MS);
  setInterval(() => {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - heardAt > SILENCE_MS) socket.close();
    else send({ op: "ping", t: Date.now() });
  }, PING_MS);
  connect();

  return function subscribe(names) {
    for (const name of names) channels.add(name);
    send({ op: "subscribe", channels: names });
  };
}
