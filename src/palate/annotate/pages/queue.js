// The pairs at hand: a dozen ahead, so that voting goes on while the network does not.

import { Later, Locked, Refused, read } from "./server.js";

const AHEAD = 12;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 20000;
const MOST_NAMED = 120;

const nameOf = (item) => `${item.item}:${item.repeat ?? 0}`;

export class Queue {
  #held = [];
  #voted = new Set();
  #asking = false;
  #heard = 0;
  #failures = 0;
  #timer = 0;
  #settling;
  #unsent;
  #onChange;

  annotator = "";
  /** What the last answer said of it; null before the first. */
  progress = null;
  question = "";
  /** "", "unreachable", "locked", or what the server refused with. */
  trouble = "";
  /** The server had no more than this when it was asked last. */
  exhausted = false;

  /** `settling` asks for what people disagree on. `unsent` gives the names of what waits to be sent. */
  constructor({ settling, unsent, onChange }) {
    this.#settling = settling;
    this.#unsent = unsent;
    this.#onChange = onChange;
  }

  static nameOf = nameOf;

  get first() {
    return this.#held[0] ?? null;
  }

  reset(annotator) {
    this.annotator = annotator;
    this.#held = [];
    this.#voted.clear();
    this.progress = null;
    this.exhausted = false;
    this.trouble = "";
    this.#failures = 0;
  }

  /** How far this annotator is, as the server said when it stored something. */
  hear(progress) {
    this.progress = progress;
    this.#heard += 1;
  }

  /** The first is done with. A vote keeps it away; what was skipped may come again. */
  advance(voted) {
    const item = this.#held.shift();
    if (voted) this.#voted.add(nameOf(item));
    this.fill();
  }

  /** Back to the front: its vote was taken back. */
  putBack(item) {
    const name = nameOf(item);
    this.#voted.delete(name);
    this.#held = [item, ...this.#held.filter((other) => nameOf(other) !== name)];
  }

  /** Gone from here: voted on in another tab. */
  drop(names) {
    this.#held = this.#held.filter((item) => !names.has(nameOf(item)));
  }

  hurry() {
    this.#failures = 0;
    return this.fill();
  }

  async fill() {
    clearTimeout(this.#timer);
    if (this.#asking || this.annotator === "" || this.#held.length >= AHEAD) return;
    if (this.#settling && this.exhausted && this.#held.length > 0) return;
    this.#asking = true;
    const annotator = this.annotator;
    const heard = this.#heard;
    try {
      const answer = await this.#ask();
      if (!Array.isArray(answer.items) || !answer.progress) throw new Later("not an answer of this server");
      // Asked before the last vote was stored, and answered after it: that is behind the times.
      if (annotator === this.annotator) this.#take(answer, heard === this.#heard);
    } catch (error) {
      if (annotator === this.annotator) this.#note(error);
    } finally {
      this.#asking = false;
      this.#onChange();
    }
    if (annotator !== this.annotator) this.fill();
  }

  #ask() {
    const annotator = this.annotator;
    if (this.#settling) return read("/api/disagreements", { annotator });
    // An address has its limits. Those left out may come again, and are known here.
    const skip = [...new Set([...this.#held.map(nameOf), ...this.#unsent()])].slice(0, MOST_NAMED).join(",");
    return read("/api/next", { annotator, count: AHEAD - this.#held.length, ...(skip && { skip }) });
  }

  #take(answer, isNew) {
    const known = new Set([...this.#held.map(nameOf), ...this.#unsent(), ...this.#voted]);
    const fresh = answer.items.filter((item) => !known.has(nameOf(item)));
    const wanted = AHEAD - this.#held.length;
    this.#held.push(...fresh);
    this.exhausted = this.#settling || answer.items.length < wanted;
    if (isNew) this.progress = answer.progress;
    this.question = answer.question ?? this.question;
    this.trouble = "";
    this.#failures = 0;
  }

  #note(error) {
    if (error instanceof Refused) {
      this.trouble = error;
    } else if (error instanceof Later || error instanceof Locked) {
      this.trouble = error instanceof Locked ? "locked" : "unreachable";
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
      this.#failures += 1;
      this.#timer = setTimeout(() => this.fill(), wait);
    } else {
      throw error;
    }
  }
}
