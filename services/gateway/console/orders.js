// The flow of orders: how many stand where, and those that rest or are on their way.
import { byId, el, exact, fill, fillRows, moment, told } from "./dom.js";
import { count, short } from "./format.js";
import { fillCounts } from "./head.js";

const COUNTS = [
  ["intents", "Intents"],
  ["approved", "Approved"],
  ["denied", "Denied"],
  ["pending", "On their way"],
  ["open", "Open"],
  ["filled", "Filled"],
  ["canceled", "Canceled"],
  ["rejected", "Rejected"],
  ["expired", "Expired"],
  ["unknown", "UNKNOWN"],
  ["fills", "Fills"],
];
const cancels = new Map();

/** Show them whenever they change; `cancel(order)` asks to take one back, and is offered only where `mayOrder()`. */
export function showOrders(screen, cancel, mayOrder) {
  screen.on(["order_counts"], () => {
    const counts = screen.get("order_counts");
    fillCounts(byId("order-counts"), COUNTS.map(([key, term]) => [term, { text: String(counts[key]), tone: key === "unknown" && counts[key] ? "bad" : "" }]));
  });
  screen.on(["orders", "order_counts", "session"], () => {
    const items = screen.get("orders") ?? [];
    const { open = 0, pending = 0, unknown = 0 } = screen.get("order_counts") ?? {};
    const all = open + pending + unknown;
    const more = all > items.length ? `the newest ${items.length} of ${all}` : count(items.length, "order");
    fill(byId("orders-sum"), items.length ? `${more} at the venue or on the way` : "");
    const cells = (order) => cellsOf(order, screen.now, mayOrder() ? cancelOf(order, cancel) : "");
    fillRows(byId("orders-body"), items, (each) => each.cl_ord_id, cells, "nothing rests at the venue");
    const known = new Set(items.map((each) => each.cl_ord_id));
    for (const id of cancels.keys()) if (!known.has(id)) cancels.delete(id);
  });
}

function cellsOf(order, now, button) {
  const tone = order.status === "UNKNOWN" ? "bad" : "";
  return [
    told(short(order.cl_ord_id), order.trace, { title: order.cl_ord_id, name: `order ${order.cl_ord_id}: its story` }),
    order.instrument,
    order.side,
    order.role,
    { text: order.status, tone },
    exact(order.order_qty, order.trace),
    exact(order.cum_qty, order.trace),
    order.px === null ? "at market" : exact(order.px, order.trace),
    moment(order.ts, now),
    button,
  ];
}

function cancelOf(order, cancel) {
  if (order.role !== "ENTRY") return "";
  let button = cancels.get(order.cl_ord_id);
  if (button === undefined) {
    button = el("button", { type: "button", text: "Cancel…", "aria-label": `Cancel order ${order.cl_ord_id}` });
    button.addEventListener("click", () => cancel(order));
    cancels.set(order.cl_ord_id, button);
  }
  return button;
}
