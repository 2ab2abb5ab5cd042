// Figures as people read them. Money stays the text that the log has: it is grouped for the eye, never rounded and never a float.

const NS_PER_MS = 1e6;
const NONE = "–";

/** What stands where there is nothing. */
export const none = NONE;

/** Milliseconds since 1970 of a time in ns. */
const msOf = (ns) => ns / NS_PER_MS;

/** A market price or another float: as many digits as its size deserves. */
export function price(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  const digits = size === 0 ? 2 : Math.min(10, Math.max(2, 5 - Math.floor(Math.log10(size))));
  return trimmed(value.toFixed(digits), 2);
}

/** A float with so many digits behind the point. */
export const float = (value, digits = 2) =>
  value === null || value === undefined || !Number.isFinite(value) ? NONE : value.toFixed(digits);

/** A signed float. */
export const signed = (value, digits = 2) => (value > 0 ? "+" : "") + float(value, digits);

/** A share (0 to 1) in percent. */
export const percent = (share, digits = 2) =>
  share === null || share === undefined || share === "" || !Number.isFinite(Number(share))
    ? NONE
    : `${(Number(share) * 100).toFixed(digits)} %`;

/** Whether a decimal text is below, at or above nought. */
function signOf(text) {
  if (text === null || text === undefined || /^-?0*\.?0*(e.*)?$/i.test(text)) return 0;
  return String(text).startsWith("-") ? -1 : 1;
}

/** The tone of a gain or loss. */
export const toneOf = (text) => ["down", "", "good"][signOf(text) + 1];

/** The time of day, UTC, to the second; with its day, where that is another than that of `now` (both ns). */
export function clock(ns, now = ns) {
  if (!ns) return NONE;
  const iso = new Date(msOf(ns)).toISOString();
  const isSameDay = iso.slice(0, 10) === new Date(msOf(now)).toISOString().slice(0, 10);
  return isSameDay ? iso.slice(11, 19) : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}

/** The same of a wall time in ms. */
export const clockOfMs = (ms) => new Date(ms).toISOString().slice(11, 19);

/** A time where the reader is, for a tooltip. */
export const local = (ns) =>
  ns ? `local time ${new Date(msOf(ns)).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" })}` : "";

/** How long, in the largest unit that tells. */
export function duration(ms) {
  const s = ms / 1000;
  if (s < 0) return "0 s";
  if (s < 1) return `${Math.round(ms)} ms`;
  if (s < 120) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${(s / 3600).toFixed(1)} h` : `${Math.round(s / 86400)} days`;
}

/** A wait in ns as a story tells it. */
export const latency = (ns) => (ns === null || ns === undefined ? "" : duration(ns / NS_PER_MS));

/** The beginning of a long id. */
export const short = (id) => (id.length > 12 ? `${id.slice(0, 8)}…` : id);

/** One and many. */
export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

function trimmed(text, digitsMin) {
  const point = text.indexOf(".");
  let end = text.length;
  while (end - point - 1 > digitsMin && text[end - 1] === "0") end -= 1;
  return text.slice(0, end);
}
