// What was told last, by section, and who shows it. Many changes within one frame are shown once.

/** The sections of one screen. */
export class Screen {
  #told = {};
  #painters = [];
  #changed = new Set();
  #isWaiting = false;
  /** For so long (ms) nothing has been told: the time of the stack has gone on meanwhile. */
  silence = 0;

  /** What a section said last; undefined: nothing yet. */
  get(kind) {
    return this.#told[kind];
  }

  /** `paint(screen)` whenever one of these sections has changed. */
  on(kinds, paint) {
    this.#painters.push({ kinds, paint });
  }

  /** A section as it is now. */
  tell(kind, body) {
    this.#told[kind] = body;
    this.#changed.add(kind);
    this.#wake();
  }

  /** Show a section again, because something else that it shows has changed. */
  touch(kind) {
    this.#changed.add(kind);
    this.#wake();
  }

  /** The time of the stack (ns), as far as it is known here. */
  get now() {
    return (this.#told.now ?? this.#told.head?.as_of ?? Date.now() * 1e6) + this.silence * 1e6;
  }

  #wake() {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    requestAnimationFrame(() => {
      this.#isWaiting = false;
      const changed = this.#changed;
      this.#changed = new Set();
      for (const { kinds, paint } of this.#painters) if (kinds.some((kind) => changed.has(kind))) paint(this);
    });
  }
}
