// What instruments cost, each with its levels and what is held of it: those that are held first.
import { Chart } from "./chart.js";
import { byId, el, fill } from "./dom.js";
import { count, price as text } from "./format.js";

const CHARTS_MAX = 8;
const cards = new Map();

/** Show them whenever they change. */
export function showPrices(screen) {
  const filter = byId("prices-filter");
  filter.addEventListener("input", () => screen.touch("prices"));
  screen.on(["prices", "closes", "levels", "regimes", "positions"], () => paint(screen, filter.value.trim().toUpperCase()));
}

function paint(screen, wanted) {
  const prices = screen.get("prices") ?? [];
  const held = new Map((screen.get("positions") ?? []).map((each) => [each.instrument, each]));
  const found = prices.filter((each) => each.instrument.toUpperCase().includes(wanted));
  found.sort((a, b) => held.has(b.instrument) - held.has(a.instrument));
  const chosen = found.slice(0, CHARTS_MAX);
  fill(byId("prices-sum"), found.length > chosen.length ? `${chosen.length} of ${count(found.length, "instrument")}; type a part of a name` : "");
  const names = new Set(chosen.map((each) => each.instrument));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.node.remove();
    cards.delete(name);
  }
  const place = byId("price-charts");
  chosen.forEach((each, index) => {
    const card = cardOf(each.instrument);
    if (place.children[index] !== card.node) place.insertBefore(card.node, place.children[index] ?? null);
    show(card, each, held.get(each.instrument), screen);
  });
}

function cardOf(instrument) {
  let card = cards.get(instrument);
  if (card === undefined) {
    const figure = el("figure", { class: "chart" });
    const [name, quote, note] = [el("span"), el("span"), el("p", { class: "quiet" })];
    const node = el("article", { class: "price" }, el("h3", {}, name, quote), note, figure);
    card = { node, name, quote, note, chart: new Chart(figure) };
    cards.set(instrument, card);
  }
  return card;
}

function show(card, each, held, screen) {
  const zones = screen.get("levels")?.[each.instrument] ?? [];
  const regime = screen.get("regimes")?.[each.instrument];
  fill(card.name, held ? { text: each.instrument, trace: held.trace } : each.instrument);
  fill(card.quote, `${text(each.bid_px)} / ${text(each.ask_px)}`);
  const isTrusted = each.trust === "TRUSTED";
  const notes = [isTrusted ? "trusted" : `${each.trust}: not traded on`, regime ? `regime ${regime}` : "", count(zones.length, "zone")];
  fill(card.note, { text: notes.filter(Boolean).join(", "), tone: isTrusted ? "" : "bad" });
  const closes = screen.get("closes")?.[each.instrument] ?? [];
  const points = [...closes, (each.bid_px + each.ask_px) / 2].map((y, index) => [index - closes.length, y]);
  card.chart.show({
    title: `${each.instrument}, closes of its shortest bars, and the price now`,
    points,
    bands: zones,
    marks: marksOf(held),
    xText: (x) => (x ? `${-x} back` : "now"),
    yText: text,
  });
}

function marksOf(held) {
  if (!held) return [];
  const all = [
    ["entry", held.avg_entry_px],
    ["stop", held.stop_px],
    ["target", held.target_px],
  ];
  return all.filter(([, px]) => px !== null).map(([kind, px]) => ({ kind, y: Number(px), text: `${kind} ${px}` }));
}
