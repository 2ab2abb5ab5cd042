// What a person should look at, the worst first. The sections are told at once; what only the gateway knows (a database behind) comes with its health page.
import { count } from "./format.js";

const PAGE_MS = 3_600_000;
/** What the gateway's health page says in its words, and the sections say sooner: libs/desk/status.py. */
const SAID_HERE = /^(gateway is|trading is|the books do not agree|the feed of|no sockets|the price of)|( stands in for | is quarantined,| has a stop$| is not ready:)/;

/** Findings as {text, tone, href, trace}, out of what the screen shows. */
export function findingsOf(screen) {
  const found = [];
  const add = (tone, text, href, trace) => found.push({ tone, text, href, trace });
  const head = screen.get("head");
  if (!head) return found;
  for (const each of head.uncovered) {
    add("bad", `${each.instrument}: ${each.stopped_qty} of ${each.signed_qty} held have a stop`, "#positions");
  }
  for (const each of screen.get("quarantined") ?? []) {
    add("bad", `${each.instrument}: nobody knows what became of an order (${each.reason})`, "#orders", `order:${each.cl_ord_id}`);
  }
  if (head.reconciled === false) add("bad", `venue and log disagree: ${head.mismatches.join("; ") || "no details"}`, "#venue");
  if (head.trading_state === "HALTED") add("bad", `trading is HALTED: ${head.trading_reason || "no reason given"}`, "#log");
  if (head.feed.state !== "LIVE") add("bad", `the feed is ${head.feed.state || "silent"}`, "#venue");
  for (const line of screen.get("services") ?? []) {
    if (!line.up) add("bad", `${line.name} does not answer`, "#services");
    else if (!line.ready) add("warn", `${line.name}: ${line.phase}`, "#services");
  }
  for (const alert of screen.get("alerts") ?? []) {
    if (alert.severity === "page" && (screen.now - alert.ts) / 1e6 < PAGE_MS) {
      add("bad", `${alert.code}: ${alert.text}`, "#alerts", alert.trace);
    }
  }
  if (head.trading_state === "REDUCING") add("warn", `trading is REDUCING: ${head.trading_reason || "no reason given"}`, "#log");
  if (head.reconciled === null) add("warn", "venue and log have not been compared yet", "#venue");
  for (const [instrument, text] of Object.entries(head.doubts)) add("warn", `price of ${instrument} in doubt: ${text}`, "#venue");
  for (const text of Object.values(head.drifts)) add("warn", text, "#venue");
  if (head.feed.via === "POLLING") add("warn", `no sockets: the prices of ${head.feed.venue} are polled`, "#venue");
  if (head.feed.home && head.feed.venue !== head.feed.home) add("warn", `${head.feed.venue} stands in for ${head.feed.home}: nothing is bought`, "#venue");
  for (const text of screen.get("health")?.reasons ?? []) if (!SAID_HERE.test(text)) add("warn", text, "#services");
  return found;
}

/** The worst one in words, and how many there are beside it. */
export function worstOf(screen) {
  const found = findingsOf(screen);
  const worst = found.find((each) => each.tone === "bad") ?? found[0];
  if (!worst) return { text: screen.get("head") ? "nothing" : "…", tone: "good", more: "" };
  const others = found.length - 1;
  return { ...worst, more: others ? `and ${count(others, "other")}` : "" };
}
