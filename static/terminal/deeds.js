// What the trader asks for, carried out: orders, closes, reversals, and what the screen says about them.

import { orderCancel, orderCreate, ordersCancelAll, positionClose, positionReverse, positionsCloseAll } from "./api.js";
import { dialogOpen } from "./dialog.js";
import { orderEdit, partClose, stopsEdit, whyShow } from "./edits.js";
import { MONEY_DECIMALS, amount, cost, grouped, signedMoney, toUnits } from "./format.js";
import { html } from "./html.js";
import { busy, nameOf } from "./positions.js";
import { orderMode } from "./prefs.js";
import { directionOf } from "./shapes.js";
import { accountRefresh, closedOlder, explain, ledgerFollow, ledgerOlder } from "./session.js";
import { positions } from "./store.js";
import { toast } from "./toasts.js";

const micros = (text) => toUnits(text, MONEY_DECIMALS) ?? 0n;

/** Send an order; returns whether it was taken. */
export async function order(body, deed) {
  try {
    const answer = await orderCreate(body);
    if (answer.status === "pending") {
      toast("good", `${deed} waits for its price`);
    } else {
      const verb = body.type === "buy" ? "Bought" : "Sold";
      toast("good", `${verb} ${amount(body.quantity)} ${body.symbol} at ${grouped(answer.price)}`);
    }
    await accountRefresh();
    return true;
  } catch (error) {
    explain("Order refused", error);
    return false;
  }
}

function closedTell(done) {
  const fee = micros(done.commission) ? `, commission ${cost(micros(done.commission))} USD` : "";
  toast(
    "good",
    `Closed ${amount(done.quantity)} ${done.symbol} at ${grouped(done.exit)}`,
    `Result ${signedMoney(micros(done.pnl))} USD${fee}`,
  );
  return accountRefresh();
}

/** Do something about a position while its buttons rest. */
async function withBusy(position, title, work) {
  busy.value = new Set([...busy.value, position.id]);
  try {
    await work();
  } catch (error) {
    explain(title, error);
  } finally {
    busy.value = new Set([...busy.value].filter((id) => id !== position.id));
  }
}

function Question({ text, label, run, close }) {
  const submit = (event) => {
    event.preventDefault();
    close();
    run();
  };
  return html`<form onSubmit=${submit}><p>${text}</p>
    <div class="dialog-actions"><button class="button" type="button" onClick=${close}>Cancel</button>
      <button class="button primary" type="submit" autofocus>${label}</button></div></form>`;
}

/** Ask once more before something that cannot be taken back, unless the trader wants no questions. */
function ask({ title, text, label, run }) {
  if (orderMode.value === "single") return run();
  dialogOpen({ title, body: Question, className: "narrow", props: { text, label, run } });
}

/** Say how many positions a filter of `closeAll` means now: "1 position is", "12 positions are". */
function countOf({ symbol, type, profit }) {
  const count = positions.value.filter(
    (row) =>
      (!symbol || row.symbol === symbol) &&
      (!type || row.direction === directionOf(type)) &&
      (!profit || (profit === "losers" ? row.pnl.peek() < 0n : row.pnl.peek() > 0n)),
  ).length;
  return count === 1 ? "1 position is" : `${count} positions are`;
}

const WHICH = { losers: "losing ", winners: "winning " };

async function closeAll(filter) {
  try {
    const answer = await positionsCloseAll(filter);
    const result = answer.orders.reduce((sum, row) => sum + micros(row.pnl), 0n);
    const passed = answer.passedOver?.length ? `${answer.passedOver.length} could not be closed now` : "";
    const text = [`Result ${signedMoney(result)} USD`, passed].filter(Boolean).join(". ");
    toast(passed ? "info" : "good", `Closed ${answer.count} position${Number(answer.count) === 1 ? "" : "s"}`, text);
    await accountRefresh();
  } catch (error) {
    explain("Not closed", error);
  }
}

/** Everything that the tables can ask for; `show` changes the instrument. */
export function deedsFor(show) {
  const does = {
    show(event, symbol) {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      show(symbol);
    },
    tab: (id) => id === "ledger" && ledgerFollow(),
    edit: (position) => stopsEdit(position, does),
    part: (position) => partClose(position, does),
    why: whyShow,
    closedOlder,
    ledgerOlder,
    editOrder: (row) => orderEdit(row, does),
    closed: closedTell,
    changed(title) {
      toast("good", title);
      return accountRefresh();
    },
    close: (position) => withBusy(position, "Not closed", async () => closedTell(await positionClose(position.id))),
    reverse(position) {
      const other = position.direction === "long" ? "short" : "long";
      ask({
        title: `Reverse ${nameOf(position)}?`,
        text: `The position is closed and the same quantity is opened ${other}, both at the market and in one step.`,
        label: "Reverse",
        run: () =>
          withBusy(position, "Not reversed", async () => {
            const answer = await positionReverse(position.id);
            toast("good", `Reversed ${position.symbol}: ${other} at ${grouped(answer.opened.price)}`, `Result ${signedMoney(micros(answer.closed.pnl))} USD`);
            await accountRefresh();
          }),
      });
    },
    closeAll(filter) {
      const where = filter.symbol ? ` in ${filter.symbol}` : "";
      const which = WHICH[filter.profit] ?? (filter.type ? (filter.type === "buy" ? "long " : "short ") : "");
      ask({
        title: `Close all ${which}positions${where}?`,
        text: `${countOf(filter)} closed at the market, whatever the filter of the table shows. What cannot be closed now stays open.`,
        label: "Close them",
        run: () => closeAll(filter),
      });
    },
    async cancel(row) {
      try {
        await orderCancel(row.id);
        toast("good", `Order in ${row.symbol} cancelled`);
        await accountRefresh();
      } catch (error) {
        explain("Not cancelled", error);
      }
    },
    async cancelAll(filter) {
      try {
        const answer = await ordersCancelAll(filter);
        toast("good", `Cancelled ${answer.count} order${Number(answer.count) === 1 ? "" : "s"}`);
        await accountRefresh();
      } catch (error) {
        explain("Not cancelled", error);
      }
    },
  };
  return does;
}
