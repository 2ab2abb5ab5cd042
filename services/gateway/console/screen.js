// What was told last, by section, and who shows it. Many changes within one frame are shown once.

/** The sections of one screen. */
export class Screen {
  #told = {};
  #painters = [];
  #changed = new Set();
  #isWaiting = false;

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

  /** The time of the stack (ns); what is told between two words of it is counted by nobody. */
  get now() {
    return this.#told.now ?? this.#told.head?.as_of ?? Date.now() * 1e6;
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
