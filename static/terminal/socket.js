// One WebSocket for everything: subscribes, acknowledges frames, measures the line, reconnects with back-off.
// What frames mean is decided by the handlers given to `socketOpen`.

import { parseExact } from "./format.js";

const PRICES = '{"ch":"prices"';
const ACK_MS = 400;
const PING_MS = 2000;
const LOOK_MS = 500;
// The server speaks at least every two seconds. Quiet for longer, the line is not to be trusted; for much longer, it is dead
// even if nobody said so.
const SILENCE_MS = 2500;
const DEAD_MS = 6000;
// The server's word that the session has ended.
const CLOSE_UNAUTHORISED = 4401;
const BACKOFF_MS = [300, 600, 1200, 2500, 5000];

/**
 * Open the line and keep it open. `handlers`: prices(rows), candles(frame), account(frame), status(data), refused(frame),
 * link({state, latencyMs}), opened() after each (re)connection, signedOut(), after() -> {account id: last seq}.
 * Returns {subscribe, unsubscribe}, both of channel names.
 */
export function socketOpen(handlers) {
  const channels = new Set();
  let socket = null;
  let attempts = 0;
  let frame = 0;
  let acknowledged = 0;
  let heardAt = 0;
  let latencyMs = null;
  let isSilent = false;

  const send = (message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const tell = (state) => handlers.link({ state, latencyMs });

  function receive({ data }) {
    heardAt = Date.now();
    if (isSilent) {
      isSilent = false;
      tell("open");
    }
    // Prices are text already; everything else may carry numbers of which no digit may be lost.
    const message = data.startsWith(PRICES) ? JSON.parse(data) : parseExact(data);
    switch (message.ch) {
      case "prices":
        frame = message.n;
        handlers.prices(message.d);
        break;
      case "candles":
        frame = Math.max(frame, Number(message.n));
        handlers.candles(message);
        break;
      case "account":
        handlers.account(message);
        break;
      case "status":
        handlers.status(message.d);
        break;
      case "pong":
        latencyMs = Date.now() - Number(message.t);
        tell("open");
        break;
      case "reply":
        if (message.success === false) handlers.refused(message);
        break;
    }
  }

  function connect() {
    tell("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const mine = (socket = new WebSocket(`${scheme}://${location.host}/ws/`));
    mine.onopen = () => {
      attempts = 0;
      frame = acknowledged = 0;
      heardAt = Date.now();
      isSilent = false;
      tell("open");
      if (channels.size) send({ op: "subscribe", channels: [...channels], after: handlers.after() });
      send({ op: "ping", t: Date.now() });
      handlers.opened();
    };
    mine.onmessage = receive;
    mine.onclose = ({ code }) => {
      // A line that was given up may close much later, when another has taken its place.
      if (mine !== socket) return;
      socket = null;
      latencyMs = null;
      if (code === CLOSE_UNAUTHORISED) return handlers.signedOut();
      tell("waiting");
      const delay = BACKOFF_MS[Math.min(attempts++, BACKOFF_MS.length - 1)];
      // Half of it by chance, so that a restarted server is not met by everybody in the same instant.
      setTimeout(connect, delay / 2 + (Math.random() * delay) / 2);
    };
  }

  function look() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const quietMs = Date.now() - heardAt;
    if (quietMs > DEAD_MS) {
      const dead = socket;
      // Its own close may take the network's time-out: it is left behind as if it had closed.
      dead.onclose({ code: 0 });
      dead.close();
    } else if (quietMs > SILENCE_MS && !isSilent) {
      isSilent = true;
      tell("silent");
    }
  }

  setInterval(() => {
    if (frame === acknowledged) return;
    acknowledged = frame;
    send({ op: "ack", frame });
  }, ACK_MS);
  setInterval(() => send({ op: "ping", t: Date.now() }), PING_MS);
  setInterval(look, LOOK_MS);
  addEventListener("offline", () => tell("silent"));
  connect();

  return {
    subscribe(names) {
      for (const name of names) channels.add(name);
      send({ op: "subscribe", channels: names, after: handlers.after() });
    },
    unsubscribe(names) {
      for (const name of names) channels.delete(name);
      send({ op: "unsubscribe", channels: names });
    },
  };
}
