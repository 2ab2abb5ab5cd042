// A line over time or over bars: axes, bands, marks, a readout by pointer and by keys, and the same figures as a table.
import { el } from "./dom.js";

const NS = "http://www.w3.org/2000/svg";
const LEFT = 8;
const TOP = 8;
const BOTTOM = 20;
const LETTER = 6.8;
const ROWS_MAX = 400;

/**
 * One chart in a figure. `show` wants {title, points: [[x, y]], bands: [{lo, hi, role}], marks: [{y, kind, text}], xText, yText, isFilled}.
 */
export class Chart {
  #scale = null;
  #plot;
  #svg;
  #title;
  #readout;
  #details;
  #shown = null;
  #key = "";
  #at = null;

  constructor(figure) {
    this.#title = el("span");
    this.#readout = el("output");
    this.#plot = el("div", { class: "plot", tabindex: "0", role: "slider", "aria-valuemin": "0" });
    this.#svg = svg("svg", { "aria-hidden": "true" });
    this.#plot.append(this.#svg);
    this.#details = el("details", {}, el("summary", { text: "As a table" }));
    figure.append(el("figcaption", {}, this.#title, this.#readout), this.#plot, this.#details);
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#plot.addEventListener("pointerleave", () => this.#read(null));
    this.#plot.addEventListener("keydown", (event) => this.#press(event));
    this.#plot.addEventListener("blur", () => this.#read(null));
    this.#details.addEventListener("toggle", () => this.#table());
    new ResizeObserver(() => this.#draw()).observe(this.#plot);
  }

  /** Show this, unless it is shown. */
  show(wanted) {
    const key = JSON.stringify([wanted.title, wanted.points, wanted.bands, wanted.marks]);
    if (key === this.#key) return;
    this.#key = key;
    this.#shown = wanted;
    this.#title.textContent = wanted.title;
    this.#plot.setAttribute("aria-label", wanted.title);
    this.#plot.setAttribute("aria-valuemax", String(Math.max(0, wanted.points.length - 1)));
    this.#draw();
    this.#read(this.#at === null ? null : Math.min(this.#at, wanted.points.length - 1));
    this.#table();
  }

  #draw() {
    const shown = this.#shown;
    const { clientWidth: width, clientHeight: height } = this.#plot;
    if (!shown || !width || !height) return;
    const { points, bands = [], marks = [] } = shown;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (!points.length) {
      const note = svg("text", { x: LEFT, y: height / 2 });
      note.textContent = "nothing yet";
      this.#svg.replaceChildren(note);
      return;
    }
    const scale = (this.#scale = scaleOf(points, marks, width, height, shown));
    const parts = bands.filter((band) => band.hi >= scale.low && band.lo <= scale.high).map((band) => bandOf(band, scale, width));
    parts.push(...rulesOf(scale, width, shown.yText), ...datesOf(points, scale, height, shown.xText));
    const path = points.map(([x, y], index) => `${index ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`).join("");
    if (shown.isFilled) {
      const first = scale.x(points[0][0]).toFixed(1);
      const last = scale.x(points[points.length - 1][0]).toFixed(1);
      parts.push(svg("path", { class: "area", d: `${path}L${last} ${scale.y(0).toFixed(1)}L${first} ${scale.y(0).toFixed(1)}Z` }));
    }
    parts.push(svg("path", { class: "series", d: path }));
    for (const mark of marks) parts.push(...markOf(mark, scale, width));
    parts.push(svg("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" }));
    parts.push(svg("circle", { class: "dot", r: 3.5, visibility: "hidden" }));
    this.#svg.replaceChildren(...parts);
  }

  #point(event) {
    const points = this.#shown?.points ?? [];
    const scale = this.#scale;
    if (!points.length || !scale) return;
    const x = scale.back(event.clientX - this.#plot.getBoundingClientRect().left);
    let best = 0;
    points.forEach((point, index) => {
      if (Math.abs(point[0] - x) < Math.abs(points[best][0] - x)) best = index;
    });
    this.#read(best);
  }

  #press(event) {
    const last = (this.#shown?.points.length ?? 0) - 1;
    const at = this.#at ?? last;
    const page = Math.max(1, Math.round(last / 10));
    const wanted = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - page,
      PageUp: at + page,
      Home: 0,
      End: last,
    }[event.key];
    if (wanted === undefined || last < 0) return;
    event.preventDefault();
    this.#read(Math.min(last, Math.max(0, wanted)));
  }

  #read(index) {
    const shown = this.#shown;
    const point = index === null ? undefined : shown?.points[index];
    this.#at = point ? index : null;
    const text = point ? `${shown.xText(point[0])}: ${shown.yText(point[1])}` : "";
    this.#readout.textContent = text;
    const last = shown?.points.at(-1);
    this.#plot.setAttribute("aria-valuenow", String(index ?? Math.max(0, (shown?.points.length ?? 1) - 1)));
    this.#plot.setAttribute("aria-valuetext", text || (last ? `${shown.xText(last[0])}: ${shown.yText(last[1])}` : "nothing yet"));
    const line = this.#svg.querySelector(".cursor");
    const dot = this.#svg.querySelector(".dot");
    if (!line || !this.#scale) return;
    for (const each of [line, dot]) each.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    const x = this.#scale.x(point[0]);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", this.#scale.y(point[1]));
  }

  #table() {
    if (!this.#details.open || !this.#shown) return;
    const { points, xText, yText, title } = this.#shown;
    const body = el("tbody");
    for (const [x, y] of points.slice(-ROWS_MAX).reverse()) {
      body.append(el("tr", {}, el("td", { text: xText(x) }), el("td", { class: "number", text: yText(y) })));
    }
    const head = el("thead", {}, el("tr", {}, el("th", { text: "When" }), el("th", { class: "number", text: "Value" })));
    const table = el("table", {}, el("caption", { class: "unseen", text: title }), head, body);
    const before = this.#details.querySelector(".scroll");
    if (before) before.replaceChildren(table);
    else this.#details.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` }, table));
  }
}

function scaleOf(points, marks, width, height, { isFilled: hasNought, yText }) {
  const ys = [...points.map(([, y]) => y), ...marks.map((mark) => mark.y), ...(hasNought ? [0] : [])];
  let low = Math.min(...ys);
  let high = Math.max(...ys);
  const room = (high - low || Math.abs(high) * 0.001 || 1) * 0.08;
  low -= room;
  high += room;
  const from = points[0][0];
  const to = points[points.length - 1][0];
  const span = to - from || 1;
  const right = Math.max(yText(low).length, yText(high).length) * LETTER + 8;
  const w = width - LEFT - right;
  const h = height - TOP - BOTTOM;
  return {
    low,
    high,
    right,
    x: (x) => LEFT + ((x - from) / span) * w,
    y: (y) => TOP + ((high - y) / (high - low)) * h,
    back: (px) => from + ((px - LEFT) / w) * span,
  };
}

function bandOf(band, scale, width) {
  const top = scale.y(Math.min(band.hi, scale.high));
  const bottom = scale.y(Math.max(band.lo, scale.low));
  return svg("rect", { class: band.role, x: LEFT, width: Math.max(0, width - LEFT - scale.right), y: top, height: Math.max(1, bottom - top) });
}

function rulesOf(scale, width, yText) {
  const step = niceStep((scale.high - scale.low) / 6);
  const parts = [];
  for (let y = Math.ceil(scale.low / step) * step; y <= scale.high; y += step) {
    parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - scale.right, y1: scale.y(y), y2: scale.y(y) }));
    const text = svg("text", { x: width - scale.right + 5, y: scale.y(y) + 4 });
    text.textContent = yText(Math.abs(y) < step / 1e6 ? 0 : y);
    parts.push(text);
  }
  return parts;
}

function datesOf(points, scale, height, xText) {
  const ends = points.length > 1 ? [points[0], points[points.length - 1]] : [points[0]];
  return ends.map(([x], index) => {
    const text = svg("text", { x: scale.x(x), y: height - 5, "text-anchor": index ? "end" : "start" });
    text.textContent = xText(x);
    return text;
  });
}

function markOf(mark, scale, width) {
  const y = scale.y(mark.y);
  const text = svg("text", { class: mark.kind, x: LEFT + 2, y: y - 3 });
  text.textContent = mark.text;
  return [svg("line", { class: mark.kind, x1: LEFT, x2: width - scale.right, y1: y, y2: y }), text];
}

function niceStep(raw) {
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
}

function svg(tag, attributes) {
  const node = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}
