// Where prices come from, what is in doubt, and what the services say of themselves.
import { get } from "./api.js";
import { byId, el, fill, fillRows } from "./dom.js";
import { count, duration, none } from "./format.js";
import { fillCounts } from "./head.js";

const LOOK_MS = 5000;

/** Show them whenever they change. */
export function showServices(screen) {
  screen.on(["head", "quarantined"], () => paintVenue(screen));
  screen.on(["services", "desk", "health"], () => paintServices(screen));
  screen.on(["findings"], () => fillList(byId("findings"), screen.get("findings"), "nothing to look at"));
}

/** Ask the gateway every few seconds what it finds, while `isOn()`. */
export function watchHealth(screen, isOn) {
  const look = async () => {
    if (!isOn() || document.hidden) return;
    try {
      screen.tell("health", await get("/health"));
    } catch {
      // the stream says by itself that nobody answers
    }
  };
  setInterval(look, LOOK_MS);
  return look;
}

function paintVenue(screen) {
  const head = screen.get("head");
  if (!head) return;
  const { state, venue, via, home } = head.feed;
  fillCounts(byId("venue-facts"), [
    ["Feed", { text: state || "silent", tone: state === "LIVE" ? "good" : "bad" }],
    ["Prices come from", [venue, via.toLowerCase()].filter(Boolean).join(" by ") || none],
    ["Orders go to", home || none],
    ["Reconciliation", { true: "venue and log agree", false: "MISMATCH", null: "not yet" }[String(head.reconciled)]],
    ["Book", [head.book, head.mode].filter(Boolean).join(", ") || none],
  ]);
  const doubts = [
    ...head.mismatches.map((text) => ({ text, tone: "bad" })),
    ...(screen.get("quarantined") ?? []).map((each) => ({ text: `${each.instrument} does not trade: ${each.reason}`, tone: "bad", trace: `order:${each.cl_ord_id}` })),
    ...head.uncovered.map((each) => ({ text: `${each.instrument}: stops for ${each.stopped_qty} of ${each.signed_qty}`, tone: "bad" })),
    ...Object.entries(head.doubts).map(([name, text]) => ({ text: `${name}: ${text}`, tone: "warn" })),
    ...Object.entries(head.drifts).map(([name, text]) => ({ text: `${name}: ${text}`, tone: "warn" })),
  ];
  fillList(byId("doubts"), doubts, "nothing");
}

function paintServices(screen) {
  const lines = screen.get("services") ?? [];
  const desk = screen.get("desk");
  const health = screen.get("health");
  const ready = lines.filter((each) => each.ready).length;
  const said = [lines.length ? `${ready} of ${lines.length} ready` : "no health page is known here", `this console has read to event ${desk?.processed_seq ?? none}`];
  if (desk?.lag) said.push(`${count(desk.lag, "event")} behind`);
  if (health?.database) {
    const { lag_events: events, lag_s: seconds } = health.database;
    said.push(events ? `database ${count(events, "event")}, ${duration(seconds * 1000)} behind` : "database up to date");
  }
  fill(byId("services-sum"), { text: said.join("; "), tone: ready < lines.length ? "warn" : "" });
  fillRows(byId("services-body"), lines, (each) => each.name, (each) => [
    { text: each.name, title: each.url },
    { text: each.phase, tone: each.ready ? "good" : each.up ? "warn" : "bad", title: each.reasons.join(", ") },
    { text: String(each.lag), isNumber: true },
    { text: String(each.outbox), isNumber: true },
    { text: String(each.pending_requests), isNumber: true },
    { text: each.code_version.slice(0, 8) || none, title: each.code_version },
  ]);
}

function fillList(list, items, empty) {
  const wanted = items.length ? items : [{ text: empty, tone: "" }];
  wanted.forEach((item, index) => {
    if (!list.children[index]) list.append(el("li"));
    fill(list.children[index], item);
  });
  while (list.children.length > wanted.length) list.lastElementChild.remove();
}
