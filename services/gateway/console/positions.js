// Everything that is held, and what protects it.
import { byId, exact, fillRows, told } from "./dom.js";
import { toneOf } from "./format.js";

/** Show it whenever it changes. */
export function showPositions(screen) {
  screen.on(["positions"], () => {
    const items = screen.get("positions");
    fillRows(byId("positions-body"), items, (each) => each.instrument, cellsOf, "nothing is held");
  });
}

function cellsOf(held) {
  const link = (text, rest) => exact(text, held.trace, { tone: "", ...rest });
  return [
    told(held.instrument, held.trace, { name: `${held.instrument}: its story` }),
    link(held.signed_qty),
    link(held.avg_entry_px),
    link(held.mark_px),
    link(held.unrealized_pnl, { tone: toneOf(held.unrealized_pnl) }),
    link(held.realized_pnl, { tone: toneOf(held.realized_pnl) }),
    link(held.stop_px, held.stop_px === null && !held.is_dust ? { tone: "bad" } : {}),
    link(held.target_px),
    protection(held),
  ];
}

function protection(held) {
  if (held.is_dust) return { text: "dust: too little for a stop", tone: "" };
  const text = `stop for ${held.stopped_qty}`;
  return held.is_covered ? { text: `covered, ${text}`, tone: "good" } : { text: `NOT COVERED, ${text}`, tone: "bad" };
}
