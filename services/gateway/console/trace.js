// A story beside the screen: what led to something, and what came of it. It has an address of its own, so that "back" closes it.
import { get } from "./api.js";
import { byId, el, fill, told } from "./dom.js";
import { clock, count, latency, local } from "./format.js";

const PREFIX = "#trace=";
const DEPTH_SHOWN_MAX = 6;
let asked = 0;
let opener = null;

/** Follow the address. */
export function followTraces() {
  addEventListener("hashchange", () => void follow());
  byId("trace-close").addEventListener("click", close);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("trace").hidden && !document.querySelector("dialog[open]")) close();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a.trace");
    if (link && !byId("trace").contains(link)) opener = link;
  });
  void follow();
}

/** Show what the address asks for, again if need be. */
export async function follow() {
  const panel = byId("trace");
  const wanted = wantedOf(location.hash);
  const ours = ++asked;
  if (wanted === null) {
    if (!panel.hidden) {
      panel.hidden = true;
      if (opener?.isConnected) opener.focus();
    }
    return;
  }
  panel.hidden = false;
  panel.scrollTop = 0;
  byId("trace-h").textContent = `Story of ${wanted}`;
  byId("trace-h").focus({ preventScroll: true });
  byId("trace-events").replaceChildren();
  say("looking it up…");
  try {
    const story = await get(`/trace/${encodeURIComponent(wanted)}`);
    if (ours === asked) tell(story);
  } catch (refusal) {
    if (ours === asked) refuse(refusal);
  }
}

function wantedOf(hash) {
  if (!hash.startsWith(PREFIX)) return null;
  try {
    return decodeURIComponent(hash.slice(PREFIX.length)) || null;
  } catch {
    return null;
  }
}

function close() {
  history.pushState(null, "", location.pathname + location.search);
  void follow();
}

function say(text) {
  byId("trace-about").textContent = text;
}

function tell(story) {
  const about = story.instruments?.length ? `about ${story.instruments.join(", ")}` : "";
  say([count(story.events.length, "event"), about, "“after” is the time since its cause"].filter(Boolean).join("; "));
  byId("trace-events").replaceChildren(...story.events.map(eventOf));
}

function eventOf(event) {
  const ts = event.ts ?? event.ts_init;
  const when = el("p", { class: "when" });
  const stamp = el("time", { datetime: new Date(ts / 1e6).toISOString(), title: local(ts), text: clock(ts) });
  when.append(el("span", { text: `#${event.seq}` }), stamp);
  const after = latency(event.latency_ns);
  if (after) when.append(el("span", { text: `${after} after #${event.cause_seq}` }));
  when.append(el("span", { class: "role", text: event.role }));
  if (event.relation !== "named") when.append(el("span", { text: event.relation }));
  const item = el("li", { "data-relation": event.relation, "data-role": event.role, "data-seq": String(event.seq) });
  item.style.setProperty("--depth", String(Math.min(event.depth, DEPTH_SHOWN_MAX)));
  item.append(when, el("p", { class: "headline", text: event.headline }));
  const details = event.details.filter(Boolean);
  if (details.length) item.append(el("pre", {}, ...details.map(detailOf)));
  return item;
}

/** A line of numbers; a check that was not passed is to be seen at once. */
function detailOf(text) {
  return el("span", { text, ...(text.startsWith("FAILED") ? { class: "broken" } : {}) });
}

/** Nothing is called so, or several things are: then each can be chosen. */
function refuse(refusal) {
  const choices = choicesOf(refusal);
  if (!choices.length) {
    say(refusal.detail);
    return;
  }
  say(`This may mean ${count(choices.length, "thing")}:`);
  const items = choices.map((key) => {
    const item = el("li");
    fill(item, told(key, key));
    return item;
  });
  byId("trace-events").replaceChildren(...items);
}

function choicesOf(refusal) {
  return refusal.slug === "ambiguous" ? (refusal.problem.faults ?? []).map((fault) => fault.what) : [];
}
