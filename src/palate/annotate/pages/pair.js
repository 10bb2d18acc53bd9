// The pair on the screen: its prompt, its two sides, and for how long it has been looked at.

import { say } from "./page.js";
import { hasLines, widthOf, showTurns } from "./texts.js";

const SHORT_WIDTH = 140;
const MIDDLING_WIDTH = 480;
const LEAST_SHOWN_MS = 250;

const at = (id) => document.getElementById(id);

export class Pair {
  #shelf;
  #shownAt = 0;
  #lookedMs = 0;
  #since = 0;
  #expanded;

  constructor(shelf) {
    this.#shelf = shelf;
    this.#expanded = shelf.get("palate.expanded") === "yes";
    document.addEventListener("visibilitychange", () => this.#count());
    addEventListener("resize", () => this.#fit());
  }

  show(item, question) {
    const asked = question || say(item.task === "compare" ? "question_compare" : "question_label");
    at("question").textContent = asked;
    at("prompt").hidden = item.prompt.length === 0;
    showTurns(at("prompt-turns"), item.prompt, "user");
    showTurns(at("left-text"), item.left, "assistant");
    showTurns(at("right-text"), item.right, "assistant");
    const longest = Math.max(widthOf(item.left), widthOf(item.right));
    const short = longest <= SHORT_WIDTH && !hasLines(item.left) && !hasLines(item.right);
    at("sides").classList.toggle("short", short);
    at("sides").classList.toggle("middling", !short && longest <= MIDDLING_WIDTH);
    for (const id of ["left-text", "right-text", "prompt-turns"]) at(id).scrollTop = 0;
    scrollTo(0, 0);
    this.#fit();
    this.#shownAt = performance.now();
    this.#lookedMs = 0;
    this.#since = this.#shownAt;
  }

  /** A choice so soon after the pair came was meant for the one before. */
  get tooSoon() {
    return performance.now() - this.#shownAt < LEAST_SHOWN_MS;
  }

  /** Seconds that it was really on the screen. */
  get seconds() {
    this.#count();
    return Math.round(this.#lookedMs) / 1000;
  }

  expand() {
    this.#expanded = !this.#expanded;
    this.#shelf.set("palate.expanded", this.#expanded ? "yes" : "no");
    this.#fit();
  }

  /** Both sides, for whoever reads by keyboard without having chosen one. */
  scroll(lines) {
    for (const id of ["left-text", "right-text"]) at(id).scrollBy({ top: lines * 40 });
  }

  #count() {
    const now = performance.now();
    if (this.#since) this.#lookedMs += now - this.#since;
    this.#since = document.hidden ? 0 : now;
  }

  /** A long prompt is folded; one that fits has nothing to unfold. */
  #fit() {
    const turns = at("prompt-turns");
    turns.classList.remove("open");
    const folded = turns.scrollHeight > turns.clientHeight + 4;
    turns.classList.toggle("open", this.#expanded);
    turns.classList.toggle("folded", folded && !this.#expanded);
    at("expand").hidden = !folded;
    at("expand").setAttribute("aria-expanded", String(this.#expanded));
    at("expand-label").textContent = say(this.#expanded ? "fold" : "unfold");
  }
}
