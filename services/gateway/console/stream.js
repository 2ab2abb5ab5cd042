// The live stream: server-sent events read by hand, because EventSource hides why it was refused and when it last heard anything.
//
//     connect ──▶ events ──▶ onSection          nothing for 5 s, or the door is not LIVE ──▶ stale
//        ▲          │ end, error, `lagged`, `ended`
//        └─ back-off ┘                           401 ──▶ signed out, no more tries
import { addressOf, onSignedOut, refusalOf } from "./api.js";

export const STALE_MS = 5000;
const BACKOFF_MS = [250, 500, 1000, 2000, 4000];
const SILENCE_MS_MAX = 15_000; // the gateway says that it is there every three

/** One page's stream: `onSection(kind, body, isFirst)` for each section told; `isFirst` on this connection, when it is told whole. */
export class Stream {
  #onSection;
  #abort = null;
  #heardAt = null;
  #heardWall = Date.now();
  #timer = null;
  #tries = 0;
  #isOn = false;
  #kinds = new Set();
  why = "connecting";

  constructor(onSection) {
    this.#onSection = onSection;
  }

  /** Begin, or begin again at once. */
  start() {
    this.stop();
    this.#isOn = true;
    this.#tries = 0;
    this.#heardWall = Date.now();
    this.#connect();
  }

  /** No more. */
  stop() {
    this.#isOn = false;
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  /** Milliseconds since anything was heard, by whichever clock has seen more: a laptop that slept has not heard anything either. */
  get silence() {
    const wall = Date.now() - this.#heardWall;
    return this.#heardAt === null ? wall : Math.max(wall, performance.now() - this.#heardAt);
  }

  /** When something was heard last (wall ms). */
  get heardAt() {
    return this.#heardWall;
  }

  /** Whether anything has ever been heard. */
  get hasSpoken() {
    return this.#heardAt !== null;
  }

  /** How many connections have failed in a row. */
  get tries() {
    return this.#tries;
  }

  async #connect() {
    const abort = (this.#abort = new AbortController());
    let watch = null;
    try {
      const answer = await fetch(addressOf("/stream"), {
        headers: { Accept: "text/event-stream" },
        credentials: "same-origin",
        cache: "no-store",
        signal: abort.signal,
      });
      if (answer.status === 401) {
        this.stop();
        onSignedOut.dispatchEvent(new Event("signed-out"));
        return;
      }
      if (!answer.ok) throw await refusalOf(answer);
      this.#kinds.clear();
      const beganAt = performance.now();
      watch = setInterval(() => {
        if (performance.now() - Math.max(beganAt, this.#heardAt ?? 0) > SILENCE_MS_MAX) abort.abort();
      }, 1000);
      await this.#read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      this.why = "the stream has ended";
    } catch (error) {
      this.why = error.detail ?? "the gateway does not answer";
    } finally {
      clearInterval(watch);
    }
    if (this.#isOn && abort === this.#abort) this.#again();
  }

  async #read(reader) {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) if (this.#take(block)) return;
    }
  }

  /** One event; true: we were told to come again. */
  #take(block) {
    let kind = "message";
    const lines = [];
    for (const line of block.split(/\r?\n/)) {
      if (line.startsWith("event:")) kind = line.slice(6).trim();
      else if (line.startsWith("data:")) lines.push(line.slice(5).trimStart());
    }
    this.#heardAt = performance.now();
    this.#heardWall = Date.now();
    this.#tries = 0;
    if (kind === "lagged" || kind === "ended") return true;
    if (!lines.length || kind === "message") return false;
    this.#onSection(kind, JSON.parse(lines.join("\n")), !this.#kinds.has(kind));
    this.#kinds.add(kind);
    return false;
  }

  #again() {
    const wait = BACKOFF_MS[Math.min(this.#tries, BACKOFF_MS.length - 1)];
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }
}
