// Orders to the system. A dialog says what will happen, wants a reason and the word itself, and sends one order with one name: sending it again is
// the same order, so a doubtful line or a double click does no harm.
import { post } from "./api.js";
import { byId, el, fill, told } from "./dom.js";
import { count } from "./format.js";

const WORDS = {
  HALT: {
    path: "halt",
    button: "Halt trading",
    happens: (now) => [`No entry is let through until a human resumes; exits and stops go on. Trading is ${now.state} now.`, `Resting entries are taken back: ${now.entries} of the orders listed here.`, `${now.held}: their stops stay at the venue.`],
  },
  REDUCE: {
    path: "reduce",
    button: "Only reduce",
    happens: (now) => [`Only what makes positions smaller is let through. Trading is ${now.state} now.`, `${now.held}: nothing is sold because of this.`],
  },
  RESUME: {
    path: "resume",
    button: "Resume trading",
    happens: (now) => [`Entries are let through again. Trading is ${now.state} now${now.why ? `: ${now.why}` : ""}.`, now.worries],
  },
  FLATTEN: {
    path: "flatten",
    button: "Sell everything",
    happens: (now) => [`Trading is halted, and everything that is held is sold at market: ${now.held}.`, `Unrealised now: ${now.unrealized}.`, "What was sold is not bought back."],
  },
  CANCEL: {
    path: "cancel",
    button: "Cancel entries",
    happens: (now, order) =>
      order
        ? [`${order.side} ${order.order_qty} ${order.instrument} (${order.role}, ${order.status}) is taken back.`, `Order ${order.cl_ord_id}.`]
        : [`Every resting entry is taken back: ${now.entries} of the orders listed here.`, "Stops, targets and exits stay: they protect."],
  },
};

// What an order rests on: if it has changed while the dialog was open, it is asked again. A halt is right however things stand.
const RESTS_ON = {
  RESUME: (now) => [now.state, now.why, now.held, now.worries],
  FLATTEN: (now) => [now.state, now.held],
  CANCEL: (now, order) => (order ? [] : [now.entries]),
};
const restsOn = (word, now, order) => JSON.stringify(RESTS_ON[word]?.(now, order) ?? []);

/** What the buttons and the dialog do. */
export class Orders {
  #screen;
  #isStale;
  #order = null;
  #isSending = false;

  constructor(screen, isStale) {
    this.#screen = screen;
    this.#isStale = isStale;
    for (const button of byId("commands").querySelectorAll("button")) {
      button.addEventListener("click", () => this.ask(button.dataset.word));
    }
    for (const id of ["order-word", "order-reason"]) byId(id).addEventListener("input", () => this.#check());
    byId("order-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    byId("order-close").addEventListener("click", () => byId("order-dialog").close());
    byId("order-dialog").addEventListener("cancel", (event) => {
      if (this.#isSending) event.preventDefault();
    });
  }

  /** Open the dialog for a word; `resting` is the order that CANCEL is about, none: every entry. */
  ask(word, resting = null) {
    this.#order = { word, id: newId(), clOrdId: resting?.cl_ord_id ?? "", resting, isSent: false };
    const { button } = WORDS[word];
    byId("order-h").textContent = `${word}${resting ? ` ${resting.instrument}` : ""}?`;
    this.#show();
    byId("order-needed").textContent = word;
    byId("order-send").textContent = button;
    byId("order-close").textContent = "Do nothing";
    byId("order-outcome").replaceChildren();
    byId("order-fields").hidden = false;
    byId("order-send").hidden = false;
    for (const id of ["order-reason", "order-word"]) {
      byId(id).value = "";
      byId(id).readOnly = false;
    }
    this.#check();
    byId("order-dialog").showModal();
    byId("order-reason").focus();
  }

  /** How things stand now, as far as the order is about it; it rests on that. */
  #show() {
    const { word, resting } = this.#order;
    const now = this.#now();
    const lines = WORDS[word].happens(now, resting).filter(Boolean);
    if (this.#isStale()) lines.unshift("These figures are STALE: what stands at the venue now may be otherwise.");
    byId("order-what").replaceChildren(el("ul", {}, ...lines.map((text) => el("li", { text }))));
    this.#order.restsOn = restsOn(word, now, resting);
  }

  #now() {
    const head = this.#screen.get("head");
    const positions = (this.#screen.get("positions") ?? []).filter((each) => !each.is_dust);
    const resting = this.#screen.get("orders") ?? [];
    const bare = head?.uncovered.length ?? 0;
    const worries = [head?.reconciled === false ? "venue and log DISAGREE" : "", bare ? `${bare} without a whole stop` : "", head && head.feed.state !== "LIVE" ? `the feed is ${head.feed.state || "silent"}` : ""];
    return {
      state: head?.trading_state ?? "not known here",
      why: head?.trading_reason ?? "",
      entries: resting.filter((each) => each.role === "ENTRY").length,
      held: positions.length ? `${count(positions.length, "position")} (${positions.map((each) => `${each.signed_qty} ${each.instrument}`).slice(0, 6).join(", ")}${positions.length > 6 ? ", …" : ""})` : "no position",
      unrealized: head?.books ? head.books.unrealized_pnl : "not known",
      worries: worries.filter(Boolean).length ? `Look first: ${worries.filter(Boolean).join(", ")}.` : "",
    };
  }

  #check() {
    const isReady = byId("order-word").value.trim() === this.#order?.word && byId("order-reason").value.trim() !== "";
    byId("order-send").disabled = !isReady || this.#isSending;
  }

  async #send() {
    this.#check();
    if (byId("order-send").disabled) return;
    const order = this.#order;
    if (!order.isSent && restsOn(order.word, this.#now(), order.resting) !== order.restsOn) {
      this.#show();
      byId("order-word").value = "";
      byId("order-word").focus();
      this.#say("Meanwhile it has changed: look at it as it stands now, and type the word again. Nothing was ordered.", "warn");
      this.#check();
      return;
    }
    order.isSent = true;
    this.#isSending = true;
    byId("order-send").disabled = true;
    for (const id of ["order-reason", "order-word"]) byId(id).readOnly = true;
    this.#say("sent; waiting for what it brings about…", "");
    const body = { command_id: order.id, reason: byId("order-reason").value.trim() };
    if (order.word === "CANCEL" && order.clOrdId) body.cl_ord_id = order.clOrdId;
    try {
      this.#answered(await post(`/commands/${WORDS[order.word].path}`, body));
    } catch (refusal) {
      this.#refused(refusal);
    } finally {
      this.#isSending = false;
      this.#check();
    }
  }

  #answered(outcome) {
    const where = el("p");
    fill(where, told(`event ${outcome.seq} in the log`, `message:${outcome.id}`));
    where.firstElementChild.addEventListener("click", () => byId("order-dialog").close());
    if (outcome.answered) {
      this.#say(outcome.changed ? `Done: ${outcome.text}` : `Nothing has changed: ${outcome.text}`, outcome.changed ? "good" : "warn", where);
      byId("order-fields").hidden = true;
      byId("order-send").hidden = true;
    } else {
      this.#say(`NOBODY HAS ANSWERED YET: ${outcome.text}`, "bad", where);
      byId("order-send").textContent = "Look again";
    }
    byId("order-close").textContent = "Close";
    byId("order-close").focus();
  }

  #refused(refusal) {
    byId("order-close").textContent = "Close";
    if (refusal.status === 0 || refusal.status >= 500) {
      const text = `${refusal.detail}. Nobody knows whether the order has arrived: sending it again is the same order and does no harm. On the machine of the stack: bulkhead ${WORDS[this.#order.word].path}.`;
      this.#say(text, "bad");
      byId("order-send").textContent = "Send it again";
      return;
    }
    this.#say(`Refused: ${refusal.detail}. Nothing was ordered.`, "bad");
    this.#order.isSent = false;
    for (const id of ["order-reason", "order-word"]) byId(id).readOnly = false;
  }

  #say(text, tone, ...more) {
    const line = el("p", { text });
    line.dataset.tone = tone;
    byId("order-outcome").replaceChildren(line, ...more);
  }
}

/** A name that nobody else makes; browsers keep randomUUID to encrypted pages. */
function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
