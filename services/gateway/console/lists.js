// What was thought, decided, done, refused and said: lists, newest first, as long as the gateway tells them.
import { byId, el, exact, fill, fillRows, moment, told } from "./dom.js";
import { float, none, percent, signed } from "./format.js";

const SEVERITY = { page: "bad", ticket: "warn", note: "" };

/** Show them whenever they change. */
export function showLists(screen) {
  screen.on(["signals"], () => paintSignals(screen.get("signals")));
  list(screen, "decisions", "nothing was decided yet", (each, now) => [
    moment(each.ts, now, each.trace),
    told(each.instrument, each.trace),
    { text: each.action, tone: "" },
    { text: percent(each.size_factor, 0), isNumber: true },
    { text: each.fallback ? `${each.driver.toLowerCase()} (${each.fallback})` : each.driver.toLowerCase(), tone: each.fallback && each.fallback !== "off" ? "warn" : "" },
    { text: each.reason, isLong: each.reason.length > 20 },
  ]);
  list(screen, "fills", "nothing was filled yet", (each, now) => [
    moment(each.ts, now, each.trace),
    told(each.instrument, each.trace),
    each.side,
    each.role,
    exact(each.qty, each.trace),
    exact(each.px, each.trace),
    each.commission === null ? none : exact(`${each.commission} ${each.commission_asset}`, each.trace),
  ]);
  list(screen, "denials", "nothing was denied", (each, now) => [
    moment(each.ts, now, each.trace),
    told(each.instrument, each.trace),
    each.side,
    exact(each.qty, each.trace),
    { text: each.reasons.join(", "), isLong: true },
  ]);
  list(screen, "alerts", "no alert", (each, now) => [
    moment(each.ts, now, each.trace),
    { text: each.severity, tone: SEVERITY[each.severity] ?? "" },
    each.producer,
    told(each.code, each.trace),
    each.instrument || none,
    { text: each.text, isLong: true },
  ]);
  screen.on(["agents", "head"], () => paintAgents(screen));
  announceAlerts(screen);
}

function list(screen, kind, empty, cellsOf) {
  const body = byId(`${kind}-body`);
  screen.on([kind], () => fillRows(body, screen.get(kind), keyOf, (each) => cellsOf(each, screen.now), empty));
}

const keyOf = (each) => `${each.trace} ${each.instrument} ${each.ts} ${each.seq ?? ""}`;

/** One row for each instrument, one column for each agent. */
function paintSignals(signals) {
  const agents = [...new Set(signals.map((each) => each.agent_id))].sort();
  const instruments = [...new Set(signals.map((each) => each.instrument))].sort();
  const head = byId("signals-head");
  if (head.dataset.agents !== JSON.stringify(agents)) {
    head.dataset.agents = JSON.stringify(agents);
    const cells = ["Instrument", ...agents].map((name) => el("th", { role: "columnheader", scope: "col", text: name }));
    head.replaceChildren(el("tr", { role: "row" }, ...cells));
  }
  const by = new Map(signals.map((each) => [`${each.agent_id} ${each.instrument}`, each]));
  const cellsOf = (instrument) => [instrument, ...agents.map((agent) => opinion(by.get(`${agent} ${instrument}`)))];
  fillRows(byId("signals-body"), instruments, (each) => each, cellsOf, "nobody has an opinion yet");
}

function opinion(signal) {
  if (!signal) return none;
  if (!signal.ready) return told("not ready", signal.trace, { title: signal.timeframe });
  const tone = { LONG: "good", SHORT: "down" }[signal.stance] ?? "";
  return told(`${signal.stance} ${float(signal.strength)} ${signal.timeframe}`, signal.trace, { tone });
}

function paintAgents(screen) {
  const model = screen.get("head")?.model;
  if (model) {
    const share = model.asked ? `${model.driven} of ${model.asked} decisions driven by the model (${percent(model.driven / model.asked, 0)})` : "the model was not asked yet";
    fill(byId("model-sum"), `mode ${model.mode}: ${share}${model.fallback ? `; the last one was not: ${model.fallback}` : ""}`);
  } else {
    fill(byId("model-sum"), "no decision yet");
  }
  fillRows(byId("agents-body"), screen.get("agents") ?? [], (each) => each.agent_id, scores, "not scored yet: that is done once an hour of market time");
}

function scores(each) {
  const number = (text) => ({ text, isNumber: true });
  return [
    each.agent_id,
    each.kind.toLowerCase(),
    number(String(each.votes)),
    number(each.votes ? percent(each.hit_rate, 0) : none),
    each.votes ? `${percent(each.hit_rate_lo, 0)} to ${percent(each.hit_rate_hi, 0)}` : none,
    number(float(each.brier, 3)),
    number(float(each.ece, 3)),
    number(`${float(each.weight, 2)} ± ${float(each.weight_sd, 2)}`),
    number(signed(each.share_bps, 1)),
    each.is_promoted ? "promoted" : "on trial",
  ];
}

/** A page that comes in while somebody listens is read to him, once. */
function announceAlerts(screen) {
  let newest = null;
  screen.on(["alerts"], () => {
    const [alert] = screen.get("alerts");
    const seq = alert?.seq ?? 0;
    if (newest !== null && seq > newest && alert.severity === "page") byId("announcer").textContent = `Alert: ${alert.code}. ${alert.text}`;
    newest = seq;
  });
}
