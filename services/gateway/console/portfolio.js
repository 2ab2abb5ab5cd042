// What the book was worth over time, how far it is below its best, and how many trades were won.
import { Chart } from "./chart.js";
import { byId, exact } from "./dom.js";
import { clock, count, float, none, percent, toneOf } from "./format.js";
import { fillCounts } from "./head.js";

/** Show it whenever it changes. */
export function showPortfolio(screen) {
  const value = new Chart(byId("chart-value"));
  const drawdown = new Chart(byId("chart-drawdown"));
  let last = "";
  screen.on(["curve", "head"], () => {
    const points = pointsOf(screen);
    const key = `${points.length} ${points.at(-1)?.[1]}`;
    if (key === last) return;
    last = key;
    const xText = (ts) => clock(ts, points.length ? points[points.length - 1][0] : ts);
    value.show({ title: "Value of the portfolio, quote currency", points, xText, yText: (y) => float(y, 2) });
    const falls = fallsOf(points);
    const digits = Math.min(...falls.map(([, fall]) => fall)) < -0.1 ? 2 : 3;
    drawdown.show({
      title: "Below the best so far, percent",
      points: falls,
      xText,
      yText: (y) => `${float(y || 0, digits)} %`,
      isFilled: true,
    });
  });
  screen.on(["head"], () => {
    const head = screen.get("head");
    const { trades_closed: closed, trades_won: won, books, books_trace: trace } = head;
    const rate = closed ? `${percent(won / closed, 0)}: ${won} of ${count(closed, "closed trade")}` : "no closed trade yet";
    const money = (key) => (books ? exact(books[key], trace, { tone: key.endsWith("pnl") ? toneOf(books[key]) : "" }) : none);
    fillCounts(byId("portfolio-sum"), [
      ["Won", rate],
      ["Equity", money("equity")],
      ["Cash", money("balance")],
      ["Realised", money("realized_pnl")],
      ["Unrealised", money("unrealized_pnl")],
      ["Best so far", money("high_water_mark")],
    ]);
  });
}

/** The curve, and how it stands now. */
function pointsOf(screen) {
  const curve = screen.get("curve") ?? [];
  const head = screen.get("head");
  return head?.books && curve.length ? [...curve, [head.as_of, Number(head.books.equity)]] : curve;
}

/** How far each point is below the best before it, in percent (0 or less). */
function fallsOf(points) {
  let best = -Infinity;
  return points.map(([ts, equity]) => {
    best = Math.max(best, equity);
    return [ts, best > 0 ? (100 * (equity - best)) / best : 0];
  });
}
