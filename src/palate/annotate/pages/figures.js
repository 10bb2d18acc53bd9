// Figures as people read them: tiles, tables, and an interval drawn to scale.

import { decimal, percent, say } from "./page.js";
import { element } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";

export const absent = "–";

export function share(of) {
  return of.value === null ? absent : percent(of.value);
}

/** `0.62 (0.48 to 0.74)`. */
export function coefficient(agreement) {
  if (agreement.value === null) return absent;
  const value = decimal(agreement.value);
  if (agreement.interval_95 === null) return value;
  const [low, high] = agreement.interval_95.map((end) => decimal(end));
  return say("with_interval", { value, low, high });
}

/** What such a kappa or alpha is usually called (Landis and Koch 1977). */
export function inWords(value) {
  const names = ["agree_none", "agree_slight", "agree_fair", "agree_moderate", "agree_good", "agree_full"];
  const place = [0, 0.2, 0.4, 0.6, 0.8].findIndex((limit) => value <= limit);
  return say(names[place === -1 ? 5 : place]);
}

export function tile(name, value, note, ...more) {
  const made = element("div", { className: "tile" });
  made.append(element("p", { className: "name", text: name }), element("p", { className: "value", text: value }));
  if (note) made.append(element("p", { className: "quiet", text: note }));
  made.append(...more);
  return made;
}

/** Rows of cells; the first of each row names it. A cell is text, or `{text, mark}` for one to look at. */
export function table(caption, heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { text, scope: "col" })));
  const body = rows.map((cells) => {
    const [name, ...rest] = cells;
    const first = element("th", { scope: "row" }, element("bdi", { text: name }));
    return element("tr", {}, first, ...rest.map((cell) => asCell(cell)));
  });
  const made = element("table", {}, element("caption", { className: "heard", text: caption }), element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { className: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
}

function asCell(cell) {
  const { text, mark, title } = typeof cell === "object" ? cell : { text: cell };
  return element("td", { text, className: mark ? "mark" : "", ...(title && { title }) });
}

/** A rate and its interval between 0 and 100%, with the half marked. */
export function intervalBar(value, [low, high], label) {
  const bar = drawn("svg", { class: "interval", viewBox: "0 0 1000 40", preserveAspectRatio: "none", role: "img", "aria-label": label });
  bar.append(
    drawn("line", { class: "rail", x1: 0, x2: 1000, y1: 20, y2: 20 }),
    drawn("line", { class: "half", x1: 500, x2: 500, y1: 2, y2: 38 }),
    drawn("line", { class: "span", x1: low * 1000, x2: high * 1000, y1: 20, y2: 20 }),
    drawn("line", { class: "point", x1: value * 1000, x2: value * 1000, y1: 8, y2: 32 }),
  );
  return bar;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
