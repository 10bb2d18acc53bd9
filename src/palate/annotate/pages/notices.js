// What must not be missed: votes the server refused, a session that is over, a browser that keeps nothing.

import { say } from "./page.js";
import { element } from "./texts.js";

const box = document.getElementById("notices");

function button(text, onClick) {
  const made = element("button", { text, type: "button", className: "secondary" });
  made.addEventListener("click", onClick);
  return made;
}

function notice(kind, what, details, ...buttons) {
  const made = element("section", { className: `notice ${kind}`, role: "alert" });
  made.append(element("p", { className: "what", text: what, dir: "auto" }));
  const more = details.filter(Boolean);
  if (more.length > 0) made.append(element("p", { text: more.join(" \u00b7 "), dir: "auto" }));
  if (buttons.length > 0) made.append(element("p", { className: "actions" }, ...buttons));
  return made;
}

let shown = "";

/** All that holds now. It is written anew only when it changed, so that nothing is read out twice. */
export function showNotices({ aside, locked, refusal, lasting, unsent, onAgain, onDrop }) {
  const state = JSON.stringify([aside, locked, refusal?.message, lasting, unsent > 0]);
  if (state === shown) return;
  shown = state;
  const notices = [];
  if (locked) {
    const reload = button(say("reload"), () => location.reload());
    notices.push(notice("warn", say("locked"), [say(unsent > 0 ? "locked_kept" : "locked_next")], reload));
  }
  if (refusal) notices.push(notice("warn", refusal.message, [refusal.why, refusal.next]));
  if (!lasting && unsent > 0) notices.push(notice("warn", say("not_lasting"), [say("not_lasting_next")]));
  for (const entry of aside) {
    const again = button(say("try_again"), () => onAgain(entry.place));
    const drop = button(say("drop"), () => onDrop(entry.place));
    const choice = entry.event.choice ? say(`chose_${entry.event.choice}`) : say(`kind_${entry.event.kind}`);
    const { what, why, next } = entry.said;
    notices.push(notice("warn", say("aside", { choice }), [what, why, next], again, drop));
  }
  box.replaceChildren(...notices);
}
