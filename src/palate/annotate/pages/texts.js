// Foreign text on the page: always as text, never as markup.

import { say, sayOr } from "./page.js";

// Control characters but for tab and newline, marks that turn the writing direction of what follows, and
// halves of characters: shown as signs, so that nothing hides.
const INVISIBLE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function visible(text) {
  return text.replace(/\r\n/g, "\n").replace(INVISIBLE, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}

export function element(name, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = visible(String(text));
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The turns of a conversation. One turn needs no name; of several, each says who speaks. */
export function showTurns(box, messages, ordinary) {
  const named = messages.length > 1 || messages.some((message) => message.role !== ordinary);
  const turns = messages.map((message) => {
    const turn = element("div", { className: "turn" });
    if (named) turn.append(element("p", { className: "role", text: sayOr(`role_${message.role}`, message.role) }));
    const empty = message.content.trim() === "";
    const text = empty ? say("empty") : message.content;
    turn.append(element("div", { className: empty ? "content empty" : "content", text, dir: "auto" }));
    return turn;
  });
  box.replaceChildren(...turns);
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/g;

/** How much room the text takes, in narrow characters: a Chinese one is two. */
export function widthOf(messages) {
  return messages.reduce((sum, { content }) => sum + content.length + (content.match(WIDE)?.length ?? 0), 0);
}

/** Whether it has lines of its own, or columns: code, verse, a table. In the middle of a box they would lose their shape. */
export function hasLines(messages) {
  return messages.length > 1 || messages.some(({ content }) => /[\n\t]/.test(content.trim()) || /^[ \t]+\S/.test(content));
}
