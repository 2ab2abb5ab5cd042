// The bar at the top: what a tired person must know within five seconds.
import { byId, el, exact, fill } from "./dom.js";
import { clock, count, duration, local, percent, signed } from "./format.js";

const OLD_MS = 10_000;
const DAY_NS = 86_400e9;

/** Show the bar whenever something in it has changed. */
export function showHead(screen) {
  screen.on(["head", "positions", "curve", "now"], paint);
  screen.on(["findings"], paintWorst);
}

function paint(screen) {
  const head = screen.get("head");
  if (!head) return;
  fill(byId("book"), [head.book, head.mode].filter(Boolean).join(" · "));
  document.title = `${head.trading_state} · Bulkhead`;
  paintState(head);
  paintMoney(screen, head);
  paintPositions(screen, head);
  paintFeed(head);
  paintReconciled(head);
  paintModel(head);
  paintAge(screen, head);
}

/** The first of the findings, which the gateway tells worst first, and how many there are beside it. */
function paintWorst(screen) {
  const found = screen.get("findings");
  const others = found.length - 1;
  tile("worst", found[0] ?? { text: "nothing", tone: "good" }, others > 0 ? `and ${count(others, "other")}` : "");
}

function paintState(head) {
  const node = document.querySelector('[data-tile="state"]');
  if (node.dataset.state && node.dataset.state !== head.trading_state) {
    byId("announcer").textContent = `Trading is ${head.trading_state} now. ${head.trading_reason}`;
  }
  node.dataset.state = head.trading_state;
  tile("state", linked(head, "trading", { text: head.trading_state }), head.trading_reason || (head.trading_state === "ACTIVE" ? "entries and exits" : ""));
}

function paintMoney(screen, head) {
  const books = head.books;
  if (!books) {
    tile("equity", "–", "the ledger has not spoken yet");
    tile("drawdown", "–", "");
    return;
  }
  const curve = screen.get("curve") ?? [];
  const from = startOf(curve, head.as_of);
  const note = from ? changeSince(Number(books.equity), from, screen.now) : "";
  tile("equity", exact(books.equity, head.books_trace), note);
  tile("drawdown", { text: percent(books.drawdown), trace: head.books_trace }, `from ${books.high_water_mark}`);
}

/** The point that a day's change is counted from: the last one at least a day old, else the first. */
function startOf(curve, now) {
  return curve.findLast(([ts]) => ts <= now - DAY_NS) ?? curve[0] ?? null;
}

function changeSince(equity, [ts, before], now) {
  if (!before) return "";
  const change = equity - before;
  return {
    text: `${signed(change)} (${signed((100 * change) / before)} %) since ${clock(ts, now)}`,
    tone: change < 0 ? "down" : "",
    title: local(ts),
  };
}

function paintPositions(screen, head) {
  const positions = screen.get("positions") ?? [];
  const held = positions.filter((each) => !each.is_dust).length;
  const dust = positions.length - held;
  const bare = head.uncovered.length;
  const said = [held ? "each has its stop" : "nothing is held", dust ? `and dust of ${dust}` : ""].filter(Boolean).join(", ");
  const note = bare ? { text: `${bare} WITHOUT A WHOLE STOP`, tone: "bad" } : said;
  tile("positions", { text: String(held), tone: bare ? "bad" : "" }, note);
}

function paintFeed(head) {
  const { state, venue, via, home } = head.feed;
  const doubts = Object.keys(head.doubts).length;
  const away = home && venue !== home ? `stands in for ${home}` : "";
  const note = [venue, via === "POLLING" ? "by polling" : "", away, doubts ? count(doubts, "price in doubt", "prices in doubt") : ""];
  tile("feed", linked(head, "feed", { text: state || "silent", tone: state === "LIVE" ? "good" : "bad" }), {
    text: note.filter(Boolean).join(", "),
    tone: doubts || away ? "warn" : "",
  });
}

function paintReconciled(head) {
  const said = { true: ["agrees", "good"], false: ["MISMATCH", "bad"], null: ["not yet", "warn"] }[String(head.reconciled)];
  const note = head.mismatches.length ? count(head.mismatches.length, "difference") : "venue against log";
  tile("reconciled", linked(head, "reconciled", { text: said[0], tone: said[1] }), note);
}

function paintModel(head) {
  const model = head.model;
  if (!model) {
    tile("model", "–", "no decision yet");
    return;
  }
  const share = model.asked ? `${model.driven} of ${model.asked}` : "not asked";
  const note = model.fallback ? { text: `${model.mode}: ${model.fallback}`, tone: "warn" } : `driven, ${model.mode}`;
  tile("model", linked(head, "model", { text: share, tone: model.fallback ? "warn" : "" }), note);
}

function paintAge(screen, head) {
  const age = Math.max(0, (screen.now - head.as_of) / 1e6);
  tile("age", { text: duration(age), tone: age > OLD_MS ? "bad" : "" }, { text: `as of ${clock(head.as_of, screen.now)} UTC`, title: local(head.as_of) });
}

/** What is shown, with the story of the event that said it last. */
function linked(head, name, shown) {
  const trace = head.traces?.[name];
  return trace ? { ...shown, trace } : shown;
}

function tile(name, value, note) {
  const node = document.querySelector(`[data-tile="${name}"]`);
  const [main, small] = node.querySelectorAll("dd");
  fill(main, value);
  fill(small, typeof note === "string" ? { text: note, tone: "" } : note);
}

/** The counts of something as a list of terms. */
export function fillCounts(list, pairs) {
  pairs.forEach(([term, value], index) => {
    let node = list.children[index];
    if (!node) {
      node = el("div", {}, el("dt"), el("dd"));
      list.append(node);
    }
    fill(node.firstElementChild, term);
    fill(node.lastElementChild, value);
  });
  while (list.children.length > pairs.length) list.lastElementChild.remove();
}
