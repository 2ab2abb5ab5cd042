// What is on the page, changed in place. Text from the system becomes text nodes and attributes, nothing else: no markup is ever read from it.
import { clock, local, none } from "./format.js";

const shown = new WeakMap();

/** The element called so. */
export const byId = (id) => document.getElementById(id);

/** A new element with a class, a text and attributes. */
export function el(tag, { text, class: name, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** A text that links to its story; without a `trace` the text alone. */
export const told = (text, trace, rest = {}) => ({ text, trace, ...rest });

/** Exact money or quantity: the log's own digits. */
export const exact = (text, trace, rest = {}) => ({ text: text ?? none, isExact: true, trace, ...rest });

/** A moment (ns), as UTC with the local time as its tooltip. */
export const moment = (ns, now, trace) => ({ text: clock(ns, now), title: local(ns), ns, trace });

/** The address of a story. */
const traceHash = (trace) => `#trace=${encodeURIComponent(trace)}`;

/** Show `content` in `node`, unless it is there already: a text, or {text, tone, title, trace, isExact, ns, name, action}. */
export function fill(node, content) {
  const wanted = typeof content === "object" && content !== null ? content : { text: content };
  const key = JSON.stringify(wanted);
  if (shown.get(node) === key) return;
  shown.set(node, key);
  if (wanted.tone !== undefined) node.dataset.tone = wanted.tone;
  node.title = wanted.title ?? "";
  const link = node.firstElementChild;
  if (wanted.trace && link?.tagName === "A") {
    link.setAttribute("href", traceHash(wanted.trace));
    named(link, wanted);
    link.replaceChildren(...inside(wanted));
    return;
  }
  if (wanted.trace) {
    const created = el("a", { href: traceHash(wanted.trace), class: "trace" }, ...inside(wanted));
    named(created, wanted);
    node.replaceChildren(created);
    return;
  }
  node.replaceChildren(...inside(wanted));
}

/** Show rows in a table's body: `keyOf` names a row, `cellsOf` gives its cells. Rows that stay keep their elements, and with them the focus. */
export function fillRows(body, items, keyOf, cellsOf, empty) {
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const labels = labelsOf(body);
  let place = body.firstElementChild;
  const seen = new Set();
  for (const item of items) {
    let key = String(keyOf(item));
    while (seen.has(key)) key += "+";
    seen.add(key);
    let row = before.get(key);
    if (row === undefined) {
      row = el("tr", { "data-key": key, role: "row" });
      body.insertBefore(row, place);
    } else if (row === place) {
      place = place.nextElementSibling;
    } else {
      body.insertBefore(row, place);
    }
    fillCells(row, cellsOf(item), labels);
  }
  for (const [key, row] of before) if (!seen.has(key)) row.remove();
  if (!items.length && empty) {
    const row = el("tr", { "data-key": "", role: "row" });
    row.append(el("td", { class: "empty", colspan: String(labels.length || 1), role: "cell", text: empty }));
    body.replaceChildren(row);
  }
}

function fillCells(row, cells, labels) {
  while (row.cells.length > cells.length) row.lastElementChild.remove();
  cells.forEach((cell, index) => {
    let node = row.cells[index];
    if (node === undefined) {
      node = el("td", { role: "cell" }, el("span"));
      row.append(node);
    }
    if (labels[index] && node.dataset.label !== labels[index]) node.dataset.label = labels[index];
    if (cell instanceof Node) {
      if (node.firstChild !== cell) node.replaceChildren(cell);
      return;
    }
    node.classList.toggle("long", Boolean(cell?.isLong));
    const isNumber = Boolean(cell?.isExact || cell?.isNumber);
    if (node.classList.contains("number") !== isNumber) node.classList.toggle("number", isNumber);
    fill(node.firstElementChild, cell);
  });
}

function labelsOf(body) {
  const heads = body.parentElement.tHead?.rows[0]?.cells ?? [];
  return [...heads].map((head) => head.textContent);
}

function named(link, wanted) {
  if (wanted.name) link.setAttribute("aria-label", wanted.name);
  else link.removeAttribute("aria-label");
}

function inside(wanted) {
  if (wanted.ns) {
    const stamp = el("time", { datetime: new Date(wanted.ns / 1e6).toISOString(), text: wanted.text });
    return [stamp];
  }
  return wanted.isExact ? grouped(String(wanted.text)) : [String(wanted.text ?? none)];
}

/** The digits as they are, thousands set apart by style alone, what is behind the second decimal made quiet. */
function grouped(text) {
  const match = /^([+-]?)(\d+)(\.\d{1,2})?(\d*)(\D.*)?$/.exec(text);
  if (!match) return [text];
  const [, sign, whole, cents = "", fine, rest = ""] = match;
  const parts = whole.match(/\d{1,3}(?=(\d{3})*$)/g).map((part, index) =>
    index ? el("span", { class: "thousand", text: part }) : sign + part,
  );
  if (cents) parts.push(cents);
  if (fine) parts.push(el("span", { class: "fine", text: fine }));
  if (rest) parts.push(rest);
  return parts;
}
