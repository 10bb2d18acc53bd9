// Votes on their way to the server. Each stands in the browser's storage, in an entry of its own, before it
// is sent, and goes from there when the server has said that it is stored: a reload, a crash or a lost
// network loses none, and two tabs never overwrite each other's. Its key makes sending it twice harmless.

import { Later, Locked, Refused, send } from "./server.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 20000;

export function newKey() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  // Not a secure context: the page came over plain http from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export class Outbox {
  #shelf;
  #waitingPrefix;
  #asidePrefix;
  #onStored;
  #onChange;
  #maySend;
  #sending = false;
  #failures = 0;
  #timer = 0;
  #lastPlace = 0;

  /** "" while all is well; "unreachable" or "locked" after a try that came to nothing. */
  trouble = "";

  constructor(shelf, store, { onStored, onChange, maySend }) {
    this.#shelf = shelf;
    this.#waitingPrefix = `palate.${store}.waiting.`;
    this.#asidePrefix = `palate.${store}.aside.`;
    this.#onStored = onStored;
    this.#onChange = onChange;
    this.#maySend = maySend;
  }

  /** Those not stored yet, oldest first, each with its place on the shelf. */
  waiting() {
    return this.#entries(this.#waitingPrefix);
  }

  /** Those the server refused, each with what it said. */
  aside() {
    return this.#entries(this.#asidePrefix);
  }

  /** Whether a reload would lose none of them. */
  get lasting() {
    return this.#shelf.lasts(this.#waitingPrefix);
  }

  add(event) {
    // Later ones sort behind earlier ones, also where the clock was set back.
    const last = this.waiting().at(-1)?.place ?? "";
    const lastKept = Number(last.slice(this.#waitingPrefix.length).split("-")[0]) || 0;
    this.#lastPlace = Math.max(Date.now(), this.#lastPlace + 1, lastKept + 1);
    const place = `${this.#waitingPrefix}${String(this.#lastPlace).padStart(15, "0")}-${event.key}`;
    this.#shelf.write(place, { event, since: Date.now(), tried: false });
    this.#onChange();
    this.pump();
  }

  /** Take one back that was never sent. False where the server may have it: then it takes an undo. */
  takeBack(key) {
    const unsent = this.waiting().find((entry) => entry.event.key === key && !entry.tried);
    const refused = this.aside().find((entry) => entry.event.key === key);
    const found = unsent ?? refused;
    if (found === undefined) return false;
    this.#shelf.remove(found.place);
    this.#onChange();
    return true;
  }

  /** Send what was refused once more, or forget it: a person has seen what the server said. */
  settle(place, again) {
    const entry = this.#shelf.read(place);
    this.#shelf.remove(place);
    if (again && entry !== null) this.add(entry.event);
    this.#onChange();
  }

  /** Try at once, whatever the wait was. */
  hurry() {
    this.#failures = 0;
    this.pump();
  }

  async pump() {
    clearTimeout(this.#timer);
    if (this.#sending || !this.#maySend()) return;
    this.#sending = true;
    if (this.waiting().length === 0) this.trouble = "";
    try {
      for (let [entry] = this.waiting(); entry && this.#maySend(); [entry] = this.waiting()) {
        if (!(await this.#deliver(entry))) break;
      }
    } finally {
      this.#sending = false;
      this.#onChange();
    }
  }

  async #deliver(entry) {
    this.#shelf.write(entry.place, { event: entry.event, since: entry.since, tried: true });
    try {
      const reply = await send("/api/events", entry.event);
      this.#shelf.remove(entry.place);
      this.#failures = 0;
      this.trouble = "";
      this.#onStored(entry.event, reply);
    } catch (error) {
      if (error instanceof Refused) {
        this.#setAside(entry, error);
      } else if (error instanceof Later || error instanceof Locked) {
        this.trouble = error instanceof Locked ? "locked" : "unreachable";
        this.#tryLater();
        return false;
      } else {
        throw error;
      }
    }
    this.#onChange();
    return true;
  }

  #setAside(entry, error) {
    const place = this.#asidePrefix + entry.place.slice(this.#waitingPrefix.length);
    const said = { what: error.message, why: error.why, next: error.next };
    this.#shelf.write(place, { event: entry.event, since: entry.since, said });
    this.#shelf.remove(entry.place);
    this.trouble = "";
  }

  #tryLater() {
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Many pages that lost one server do not come back to it in one moment.
    this.#timer = setTimeout(() => this.pump(), wait * (0.75 + Math.random() / 2));
  }

  #entries(prefix) {
    const found = this.#shelf.names(prefix).map((place) => ({ ...this.#shelf.read(place), place }));
    return found.filter((entry) => entry.event);
  }
}
