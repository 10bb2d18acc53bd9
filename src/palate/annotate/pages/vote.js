// The voting page: what a key or a button does, and which of its views is shown.

import { actionOf } from "./keys.js";
import { showNotices } from "./notices.js";
import { Outbox, newKey } from "./outbox.js";
import { keepLanguage, say, store } from "./page.js";
import { Pair } from "./pair.js";
import { Queue } from "./queue.js";
import { Shelf } from "./shelf.js";
import { element } from "./texts.js";

const CHOICES = new Set(["left", "right", "tie", "both_bad"]);
const VIEWS = ["entry", "loading", "elsewhere", "done", "pair"];
const SAVING_SHOWN_AFTER_MS = 800;
const LOOK_AGAIN_MS = 15000;
const MAX_HISTORY = 20;
// A browser keeps some five million of a site, and unsent votes come first.
const MAX_HISTORY_CHARACTERS = 1_000_000;
const PRESSED_MS = 180;

const at = (id) => document.getElementById(id);
const settling = new URL(location.href).searchParams.has("settle");
const shelf = new Shelf();
const pair = new Pair(shelf);
const tab = newKey();
const activeName = `palate.${store}.active`;

let annotator = (shelf.get("palate.name") ?? "").trim();
let active = true;
let renaming = false;
let shown = null;
let note = "";
let doneHow = "";
let votedHere = 0;
let storedHere = 0;

const queue = new Queue({
  settling,
  unsent: () => outbox.waiting().filter(({ event }) => event.annotator === annotator && isAnswer(event)).map(({ event }) => Queue.nameOf(event)),
  onChange: () => refresh(),
});

const outbox = new Outbox(shelf, store, {
  maySend: () => active,
  onChange: () => refresh(),
  onStored: (event, reply) => {
    storedHere += 1;
    if (event.annotator === annotator && !settling) queue.hear(reply.progress);
    if (queue.first === null) queue.fill();
  },
});

const isAnswer = (event) => event.kind !== "undo";

// What was done, newest last, for undo: it outlives a reload.

const historyName = () => `palate.${store}.history.${settling ? "settle." : ""}${annotator}`;
const readHistory = () => shelf.read(historyName()) ?? [];

function writeHistory(entries) {
  const kept = [];
  let room = MAX_HISTORY_CHARACTERS;
  for (const entry of entries.slice(-MAX_HISTORY).reverse()) {
    room -= JSON.stringify(entry).length;
    if (room < 0 && kept.length > 0) break;
    kept.unshift(entry);
  }
  shelf.write(historyName(), kept);
}

// Actions

function choose(choice) {
  if (shown === null || pair.tooSoon) return;
  const kind = choice === null ? "skip" : settling ? "adjudicate" : "vote";
  // A skipped disagreement stays one: there is nothing to store.
  const stored = !(settling && choice === null);
  const written = takeNote();
  const event = {
    key: newKey(),
    annotator,
    kind,
    item: shown.item,
    repeat: shown.repeat ?? 0,
    choice,
    note: written,
    seconds: pair.seconds,
    undoes: null,
  };
  press(choice ?? "skip");
  const item = shown;
  shown = null;
  writeHistory([...readHistory(), { key: stored ? event.key : null, item, note: written }]);
  if (stored) outbox.add(event);
  votedHere += 1;
  queue.advance(choice !== null || settling);
  refresh();
  sayLast(choice === null ? "skipped" : `chose_${choice}`);
}

function undo() {
  const entries = readHistory();
  const last = entries.pop();
  if (last === undefined) {
    sayLast("nothing_to_undo");
    return;
  }
  press("undo");
  writeHistory(entries);
  if (last.key !== null && !outbox.takeBack(last.key)) {
    const { item, repeat = 0 } = last.item;
    outbox.add({ key: newKey(), annotator, kind: "undo", item, repeat, choice: null, note: "", seconds: null, undoes: last.key });
  }
  closeNote();
  queue.putBack(last.item);
  shown = null;
  refresh();
  note = last.note ?? "";
  showNoteButton();
  sayLast("undone");
}

function takeNote() {
  const typed = at("note-form").hidden ? note : at("note").value;
  closeNote();
  note = "";
  return wellFormed(typed);
}

// Half a character, as a broken paste leaves it, cannot be stored.
const wellFormed = (text) => text.trim().replace(/\p{Surrogate}/gu, "\ufffd");

function openNote() {
  if (shown === null) return;
  at("note").value = note;
  at("note-form").hidden = false;
  showNoteButton();
  at("note").focus();
}

function closeNote() {
  const hadFocus = at("note-form").contains(document.activeElement);
  at("note-form").hidden = true;
  showNoteButton();
  if (hadFocus) at("pair").focus({ preventScroll: true });
}

function keepNote() {
  note = wellFormed(at("note").value);
  closeNote();
  if (note !== "") sayLast("note_kept");
}

function showNoteButton() {
  at("note-button").textContent = say(note === "" ? "note" : "note_edit");
  const button = document.querySelector("[data-does=note]");
  button.setAttribute("aria-expanded", String(!at("note-form").hidden));
  button.classList.toggle("has-note", note !== "");
}

function toggleHelp() {
  const help = at("help");
  if (help.open) help.close();
  else help.showModal();
}

function act(does) {
  if (does === "help") return toggleHelp();
  if (at("help").open || !active || annotator === "" || renaming) return undefined;
  if (does === "undo") return undo();
  if (shown === null) return undefined;
  if (CHOICES.has(does)) return choose(does);
  if (does === "skip") return choose(null);
  if (does === "note") return openNote();
  if (does === "expand") return pair.expand();
  return undefined;
}

function press(does) {
  for (const button of document.querySelectorAll(`[data-does=${does}]`)) {
    button.classList.add("pressed");
    setTimeout(() => button.classList.remove("pressed"), PRESSED_MS);
  }
}

// What is shown

function refresh() {
  const view = viewNow();
  if (view === "pair" && shown !== queue.first) {
    shown = queue.first;
    note = "";
    showNoteButton();
  } else if (view !== "pair") {
    shown = null;
  }
  const changed = at(view).hidden;
  for (const name of VIEWS) at(name).hidden = name !== view;
  at("bar").hidden = view !== "pair";
  if (view === "pair" && at("pair").dataset.item !== nameOfShown()) {
    at("pair").dataset.item = nameOfShown();
    pair.show(shown, settling ? say("question_settle") : queue.question);
  }
  if (view !== "pair") delete at("pair").dataset.item;
  if (view === "done") showDone(changed);
  if (view === "entry" && changed) showEntry();
  if (view === "pair" && changed) at("pair").focus({ preventScroll: true });
  if (view === "loading") at("loading-text").textContent = say(queue.trouble === "unreachable" ? "no_server" : "loading");
  showProgress();
  showSaved();
  showNotices({
    aside: outbox.aside(),
    locked: outbox.trouble === "locked" || queue.trouble === "locked",
    refusal: queue.trouble instanceof Error && view !== "entry" ? queue.trouble : null,
    lasting: outbox.lasting,
    unsent: outbox.waiting().length,
    onAgain: (place) => outbox.settle(place, true),
    onDrop: (place) => outbox.settle(place, false),
  });
}

const nameOfShown = () => `${Queue.nameOf(shown)}`;

function viewNow() {
  if (annotator === "" || renaming) return "entry";
  if (!active) return "elsewhere";
  if (queue.first !== null) return "pair";
  if (queue.trouble === "" && queue.progress === null && !queue.exhausted) return "loading";
  if (queue.trouble === "unreachable" && votedHere === 0) return "loading";
  if (queue.trouble === "" && !queue.exhausted) return "loading";
  return "done";
}

function showEntry() {
  at("name").value = annotator;
  at("name").focus();
}

function showDone(changed) {
  const unsent = outbox.waiting().length;
  const how = queue.trouble !== "" || (unsent > 0 && outbox.trouble !== "") ? "ahead"
    : settling ? "settled"
    : !(queue.progress?.finished ?? true) ? "waiting"
    : (queue.progress?.done ?? 0) + unsentDifference() > 0 ? "finished" : "taken";
  at("done-title").textContent = say(`done_${how}`, { name: annotator });
  at("done-why").textContent = say(`done_${how}_why`, { n: unsent, total: queue.progress?.total ?? 0 });
  at("done-undo").hidden = readHistory().length === 0;
  if (changed || how !== doneHow) at("done-title").focus({ preventScroll: true });
  doneHow = how;
}

function showProgress() {
  const progress = queue.progress;
  const known = !settling && progress !== null && progress.total > 0 && annotator !== "" && active && !renaming;
  at("progress-box").hidden = !known;
  at("rename").hidden = annotator === "" || renaming;
  at("who").textContent = annotator;
  at("rename").setAttribute("aria-label", say("rename", { name: annotator }));
  if (!known) return;
  const done = Math.min(progress.total, Math.max(0, progress.done + unsentDifference()));
  at("progress").max = Math.max(1, progress.total);
  at("progress").value = done;
  at("count").textContent = say("count", { done, total: progress.total });
  at("pace").textContent = paceInWords(progress, progress.total - done);
}

/** How many more are done than the server knows. */
function unsentDifference() {
  const mine = outbox.waiting().filter(({ event }) => event.annotator === annotator);
  return mine.reduce((sum, { event }) => sum + (event.kind === "vote" ? 1 : event.kind === "undo" ? -1 : 0), 0);
}

function paceInWords(progress, left) {
  if (!progress.per_minute || left <= 0) return "";
  const pace = Math.max(1, Math.round(progress.per_minute));
  const minutes = Math.ceil(left / progress.per_minute);
  const key = minutes >= 90 ? "pace_hours" : "pace";
  return say(key, { pace, n: minutes >= 90 ? Math.round(minutes / 60) : minutes });
}

let savedTimer = 0;

function showSaved() {
  clearTimeout(savedTimer);
  const waiting = outbox.waiting();
  const n = waiting.length;
  const stuck = n > 0 && (outbox.trouble !== "" || !navigator.onLine);
  const late = n > 0 && Date.now() - waiting[0].since > SAVING_SHOWN_AFTER_MS;
  at("saved").dataset.unsent = String(n);
  // A moment's sending is not worth a word: it would flicker, and be read out, with every vote.
  let text = at("saved").textContent;
  if (stuck) text = say("waiting", { n });
  else if (late) text = say("saving", { n });
  else if (n === 0) text = storedHere > 0 ? say("all_saved") : "";
  else savedTimer = setTimeout(showSaved, SAVING_SHOWN_AFTER_MS);
  if (text !== at("saved").textContent) at("saved").textContent = text;
  at("saved").classList.toggle("stuck", stuck);
}

/** Left and right are first and second where they stand below each other. */
function saySide(key) {
  if (key !== "chose_left" && key !== "chose_right") return [say(key)];
  const narrow = say(`narrow_${key}`);
  return [element("span", { className: "wide", text: say(key) }), element("span", { className: "narrow", text: narrow })];
}

/** What was just done; and for those who listen, where they are now. */
function sayLast(key) {
  const { done = 0, total = 0 } = queue.progress ?? {};
  const place = shown === null ? "" : say("now_at", { at: Math.min(total, done + unsentDifference() + 1), total });
  at("last").replaceChildren(...saySide(key), element("span", { className: "heard", text: ` ${place}` }));
}

// Coming in, and one tab at a time

async function enter(name) {
  annotator = name;
  renaming = false;
  shelf.set("palate.name", name);
  queue.reset(name);
  claim();
  refresh();
  await queue.fill();
  if (queue.trouble?.status !== undefined && queue.first === null && queue.progress === null) {
    at("entry-problem").textContent = [queue.trouble.message, queue.trouble.why, queue.trouble.next].filter(Boolean).join(" ");
    at("entry-problem").hidden = false;
    renaming = true;
    refresh();
  }
}

function claim() {
  active = true;
  shelf.set(activeName, tab);
  outbox.hurry();
}

function onOtherTab(change) {
  if (change.key === activeName) active = shelf.get(activeName) === tab;
  refresh();
}

function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !at("note-form").hidden) return closeNote();
    const does = actionOf(event);
    if (does !== null) {
      event.preventDefault();
      return act(does);
    }
    return scrollByKey(event);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-does]");
    if (button) act(button.dataset.does);
  });
  at("entry-form").addEventListener("submit", (event) => {
    event.preventDefault();
    at("entry-problem").hidden = true;
    const name = at("name").value.trim().replace(/\s+/g, " ").normalize("NFC");
    if (name !== "") enter(name);
  });
  at("note-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepNote();
  });
  at("note").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    keepNote();
  });
  at("note-cancel").addEventListener("click", closeNote);
  at("rename").addEventListener("click", () => {
    renaming = true;
    refresh();
  });
  at("vote-here").addEventListener("click", () => enter(annotator));
  at("look-again").addEventListener("click", () => queue.hurry());
  addEventListener("storage", onOtherTab);
  addEventListener("online", () => {
    outbox.hurry();
    queue.hurry();
  });
  addEventListener("offline", refresh);
  addEventListener("beforeunload", (event) => {
    if (!outbox.lasting && outbox.waiting().length > 0) event.preventDefault();
  });
  setInterval(() => {
    if (!at("done").hidden && !document.hidden) queue.fill();
  }, LOOK_AGAIN_MS);
}

function scrollByKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (![document.body, at("main"), at("pair")].includes(event.target)) return;
  const lines = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
  if (lines !== undefined && shown !== null) pair.scroll(lines);
}

keepLanguage(shelf);
listen();
if (annotator === "") refresh();
else enter(annotator);
