// The newest lines of the log, in words, and only those that are asked for.
import { byId, el, fill, fillRows, moment, told } from "./dom.js";

const LINES_MAX = 200;

/** Show them whenever they change. */
export function showLog(screen) {
  const text = byId("log-filter");
  const producer = byId("log-producer");
  for (const each of [text, producer]) each.addEventListener("input", () => screen.touch("log"));
  screen.on(["log"], () => {
    const lines = screen.get("log") ?? [];
    offer(producer, lines);
    const wanted = text.value.trim().toLowerCase();
    const found = lines.filter((line) => isWanted(line, wanted, producer.value));
    fill(byId("log-sum"), found.length < lines.length ? `${found.length} of the newest ${lines.length} lines` : `the newest ${lines.length} lines`);
    fillRows(byId("log-body"), found, (line) => line.seq, (line) => cellsOf(line, screen.now), lines.length ? "no line says so" : "the log is empty");
  });
}

/** The lines of before and those that came to them: of the log alone only what is new is told. */
export function withNewLines(before, more) {
  const oldest = more.length ? more[more.length - 1].seq : Infinity;
  return [...more, ...before.filter((line) => line.seq < oldest)].slice(0, LINES_MAX);
}

function isWanted(line, wanted, producer) {
  return (!producer || line.producer === producer) && (!wanted || `${line.seq} ${line.producer} ${line.text}`.toLowerCase().includes(wanted));
}

function cellsOf(line, now) {
  return [told(String(line.seq), line.trace, { name: `event ${line.seq}: its story` }), moment(line.ts, now), line.producer, told(line.text, line.trace)];
}

function offer(select, lines) {
  const known = new Set([...select.options].map((option) => option.value));
  for (const { producer } of lines) {
    if (known.has(producer)) continue;
    known.add(producer);
    select.append(el("option", { value: producer, text: producer }));
  }
}
