// The console: puts its parts together, and says when what it shows is old.
import { Orders } from "./commands.js";
import { byId } from "./dom.js";
import { clockOfMs } from "./format.js";
import { showHead } from "./head.js";
import { showLists } from "./lists.js";
import { showLog, withNewLines } from "./log.js";
import { Login } from "./login.js";
import { showOrders } from "./orders.js";
import { showPortfolio } from "./portfolio.js";
import { showPositions } from "./positions.js";
import { showPrices } from "./prices.js";
import { Screen } from "./screen.js";
import { showServices, watchHealth } from "./services.js";
import { STALE_MS, Stream } from "./stream.js";
import { follow, followTraces } from "./trace.js";

const LOOK_MS = 250;

const screen = new Screen();
const stream = new Stream((kind, body, isFirst) => {
  screen.tell(kind, kind === "log" && !isFirst ? withNewLines(screen.get("log") ?? [], body) : body);
  if (kind === "head") byId("main").setAttribute("aria-busy", "false");
});
let isIn = false;
let mayOrder = false;
let notLiveSince = null;
let saidSince = null;

const orders = new Orders(screen, () => whyStale() !== null);
showHead(screen);
showPortfolio(screen);
showPositions(screen);
showOrders(screen, (order) => orders.ask("CANCEL", order), () => mayOrder);
showPrices(screen);
showLists(screen);
showServices(screen);
showLog(screen);
const lookAtHealth = watchHealth(screen, () => isIn);

const login = new Login(
  (session) => {
    isIn = true;
    mayOrder = session.scopes.some((scope) => scope === "operate" || scope === "admin");
    byId("commands").hidden = !mayOrder;
    byId("read-only").hidden = mayOrder;
    screen.tell("session", session);
    stream.start();
    void lookAtHealth();
    void follow();
  },
  () => {
    isIn = false;
    stream.stop();
  },
);
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--bar", `${byId("bar").offsetHeight}px`);
}).observe(byId("bar"));
setInterval(sayWhetherStale, LOOK_MS);
void login.begin();
followTraces();

/** Why what is shown is old, and since when (wall ms); null: it is not. */
function whyStale() {
  if (!isIn) return null;
  if (stream.silence > STALE_MS) {
    const said = screen.get("health")?.desk;
    const why = said && said.state !== "LIVE" ? `the gateway is ${said.state}: ${said.reason}` : stream.why;
    return { since: stream.heardAt, text: stream.hasSpoken ? `nothing heard; ${why}` : `nothing heard yet; ${why}` };
  }
  const desk = screen.get("desk");
  if (!desk || desk.state === "LIVE") {
    notLiveSince = null;
    return null;
  }
  notLiveSince ??= Date.now();
  const behind = desk.lag ? `, ${desk.lag} events behind` : "";
  return { since: notLiveSince, text: `the gateway is ${desk.state}${behind}: ${desk.reason}` };
}

function sayWhetherStale() {
  const why = whyStale();
  const silence = why && stream.silence > STALE_MS ? stream.silence : 0;
  if (silence || screen.silence) {
    screen.silence = silence;
    screen.touch("now");
  }
  document.body.classList.toggle("is-stale", why !== null);
  byId("stale").hidden = why === null;
  if (why === null) {
    saidSince = null;
    return;
  }
  const text = `Stale since ${clockOfMs(why.since)} UTC: ${why.text}`;
  if (text !== saidSince) byId("stale-text").textContent = saidSince = text;
  byId("stale-for").textContent = `(${Math.floor((Date.now() - why.since) / 1000)} s)`;
}
