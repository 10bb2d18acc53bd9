// From a key to what it does. It depends on the key alone, never on what is shown.

import { keys } from "./page.js";

const actions = new Map(Object.entries(keys).flatMap(([does, names]) => names.map((name) => [name, does])));

/** What a pressed key does, or null: while somebody types, with a modifier, or when it is held down. */
export function actionOf(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  if (event.repeat) return null;
  if (event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]")) {
    return null;
  }
  return actions.get(nameOf(event)) ?? null;
}

function nameOf(event) {
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // With an input method, or a layout of other letters, the key's place on the board still says which it is.
  const foreign = event.isComposing || name === "Process" || (name.length === 1 && name > "\x7f");
  const place = /^(?:Key([A-Z])|Digit([0-9]))$/.exec(event.code);
  return foreign && place ? (place[1] ?? place[2]).toLowerCase() : name;
}
