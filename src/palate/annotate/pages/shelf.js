// What this browser keeps: localStorage, and memory where that is refused or full.

export class Shelf {
  #storage;
  #memory = new Map();

  constructor() {
    try {
      const probe = "palate.probe";
      window.localStorage.setItem(probe, "1");
      window.localStorage.removeItem(probe);
      this.#storage = window.localStorage;
    } catch {
      this.#storage = null;
    }
  }

  /** Whether all that was put here under names that begin so outlives this page. */
  lasts(prefix) {
    return this.#storage !== null && ![...this.#memory.keys()].some((name) => name.startsWith(prefix));
  }

  get(name) {
    return this.#memory.get(name) ?? this.#storage?.getItem(name) ?? null;
  }

  /** True where it was put where it lasts. */
  set(name, text) {
    try {
      if (this.#storage !== null) {
        this.#storage.setItem(name, text);
        this.#memory.delete(name);
        return true;
      }
    } catch {
      // Full: the old text would be wrong, so it goes too.
      this.#storage.removeItem(name);
    }
    this.#memory.set(name, text);
    return false;
  }

  remove(name) {
    this.#memory.delete(name);
    this.#storage?.removeItem(name);
  }

  /** The names that begin so, in their order. */
  names(prefix) {
    const found = new Set([...this.#memory.keys()].filter((name) => name.startsWith(prefix)));
    for (let place = 0; place < (this.#storage?.length ?? 0); place += 1) {
      const name = this.#storage.key(place);
      if (name?.startsWith(prefix)) found.add(name);
    }
    return [...found].sort();
  }

  read(name) {
    try {
      return JSON.parse(this.get(name));
    } catch {
      return null;
    }
  }

  write(name, value) {
    return this.set(name, JSON.stringify(value));
  }
}
