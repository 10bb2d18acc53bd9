// The dashboard: where the voting stands, read anew every few seconds while somebody looks.

import { absent, coefficient, inWords, intervalBar, share, table, tile } from "./figures.js";
import { decimal, keepLanguage, language, percent, say } from "./page.js";
import { Locked, Refused, read } from "./server.js";
import { Shelf } from "./shelf.js";
import { element } from "./texts.js";

const READ_EVERY_MS = 5000;

const at = (id) => document.getElementById(id);
const shelf = new Shelf();
let revealed = false;
let shown = "";
let asked = 0;

async function refresh() {
  asked += 1;
  const mine = asked;
  try {
    const standing = await read("/api/standing", revealed ? { reveal: 1 } : {});
    if (mine !== asked) return;
    at("problem").textContent = "";
    show(standing);
  } catch (error) {
    if (mine !== asked) return;
    at("problem").textContent = problemOf(error);
    if (shown === "") at("figures").replaceChildren();
  }
}

function problemOf(error) {
  if (error instanceof Locked) return `${say("locked")} ${say("locked_next")}`;
  if (error instanceof Refused) return [error.message, error.why, error.next].filter(Boolean).join(" ");
  return say("no_server");
}

function show(standing) {
  const state = JSON.stringify([standing, revealed]);
  if (state === shown) return;
  shown = state;
  const focused = document.activeElement?.id;
  at("question").textContent = standing.question;
  at("figures").replaceChildren(
    overview(standing),
    ...standing.contests.length > 0 ? [models(standing)] : [],
    people(standing),
    ...standing.annotators.length > 1 ? [agreement(standing)] : [],
    ...standing.circles.num_triads > 0 ? [circles(standing.circles)] : [],
    ...standing.notes.length > 0 ? [notes(standing.notes)] : [],
  );
  if (focused) at(focused)?.focus();
}

function section(title, ...children) {
  return element("section", {}, element("h2", { text: title }), ...children);
}

function overview(standing) {
  const { num_items: total, num_voted: voted, num_disagreements: differing, decided } = standing;
  const alpha = standing.agreement.alpha;
  const settle = element("a", { text: say("settle"), href: `/?settle=1&lang=${language}`, className: "secondary" });
  return element("div", { className: "tiles" },
    tile(say("tile_voted"), say("count", { done: voted, total }), say("tile_voted_note", { n: standing.num_votes })),
    tile(say("tile_decided"), percentOf(decided.one_side, voted), say("tile_decided_note", { ties: decided.tie, bad: decided.both_bad })),
    tile(say("tile_agreement"), alpha.value === null ? absent : decimal(alpha.value), alphaNote(alpha)),
    tile(say("tile_differing"), String(differing), say("tile_differing_note", { n: standing.num_adjudicated }), ...differing > 0 ? [settle] : []),
  );
}

const percentOf = (num, all) => (all === 0 ? absent : percent(num / all));

function alphaNote(alpha) {
  if (alpha.value === null) return say("alpha_none");
  if (alpha.interval_95 === null) return inWords(alpha.value);
  const [low, high] = alpha.interval_95.map((end) => decimal(end));
  return say("alpha_note", { words: inWords(alpha.value), low, high });
}

function models(standing) {
  const reveal = element("button", { text: say(revealed ? "hide_names" : "reveal"), type: "button", id: "reveal", className: "secondary", "aria-pressed": String(revealed) });
  reveal.addEventListener("click", () => {
    revealed = !revealed;
    refresh();
  });
  const parts = standing.contests.map(contest);
  if (standing.ranking !== null) parts.push(ranking(standing.ranking));
  return section(say("models"), element("p", { className: "quiet", text: say(revealed ? "models_revealed" : "models_hidden") }), element("p", { className: "actions" }, reveal), ...parts);
}

const nameOfModel = (name) => (revealed ? name : say("model", { name }));

function contest(result) {
  const first = nameOfModel(result.first);
  const second = nameOfModel(result.second);
  const made = element("article", { className: "contest" });
  if (result.win_rate === null) {
    made.append(element("h3", { text: say("contest_none", { first, second }) }));
    return made;
  }
  const [low, high] = result.interval_95;
  const settled = !(low <= 0.5 && 0.5 <= high);
  const [better, worse] = low > 0.5 ? [second, first] : [first, second];
  const rate = percent(result.win_rate, 1);
  // Rounded outwards: the words never claim more than the numbers do.
  const ends = { low: percent(Math.floor(low * 1000) / 1000, 1), high: percent(Math.ceil(high * 1000) / 1000, 1) };
  const figures = say("contest_figures", { second, rate, n: result.num_comparisons, ...ends });
  made.append(
    element("h3", { text: settled ? say("contest_settled", { better, worse }) : say("contest_open", { first, second }) }),
    intervalBar(result.win_rate, result.interval_95, figures),
    element("p", { className: "scale", "aria-hidden": "true" }, element("bdi", { text: first }), element("span", { text: percent(0.5) }), element("bdi", { text: second })),
    element("p", { text: figures }),
    element("p", { className: settled ? "quiet" : "strong", text: whatWouldSettle(result, settled) }),
    element("p", { className: "quiet", text: say("contest_counts", { wins: result.num_wins, losses: result.num_losses, ties: result.num_ties, second, unvoted: result.num_without_votes }) }),
  );
  return made;
}

function whatWouldSettle(result, settled) {
  if (settled) return result.sign_test_p > 0.05 ? say("borderline", { p: decimal(result.sign_test_p) }) : say("settled");
  if (result.num_more_to_settle === null) return say("level");
  return say("more_to_settle", { n: result.num_more_to_settle });
}

function ranking({ players, notes: remarks }) {
  const rows = players.map(({ name, strength, elo, interval_95: interval }) => [
    nameOfModel(name),
    String(Math.round(elo)),
    coefficient({ value: strength, interval_95: interval }),
  ]);
  const heads = [say("model_head"), say("elo"), say("strength")];
  return element("article", { className: "contest" }, element("h3", { text: say("ranking") }), table(say("ranking"), heads, rows), ...remarks.map((text) => element("p", { className: "quiet", text })));
}

function people({ annotators }) {
  if (annotators.length === 0) return section(say("people"), element("p", { className: "quiet", text: say("nobody") }));
  const heads = ["annotator", "votes", "pace_head", "ties_head", "bad_head", "left_head", "consistent_head"].map((key) => say(key));
  const rows = annotators.map((one) => [
    one.name,
    String(one.num_votes),
    one.per_minute === null ? absent : say("per_minute", { n: Math.round(one.per_minute) }),
    share(one.ties),
    share(one.both_bad),
    { text: share(one.left), mark: leans(one.left), title: leans(one.left) ? say("leans") : "" },
    one.consistent.num_of === 0 ? absent : say("consistent", { share: share(one.consistent), num: one.consistent.num, of: one.consistent.num_of }),
  ]);
  const leaning = annotators.filter((one) => leans(one.left)).map((one) => one.name);
  const made = section(say("people"), table(say("people"), heads, rows), element("p", { className: "quiet", text: say("people_note") }));
  if (leaning.length > 0) made.append(element("p", { className: "problem", text: say("leaning", { names: leaning.join(", ") }) }));
  return made;
}

/** The place on the screen decides more than chance would. */
function leans({ interval_95: interval }) {
  return interval !== null && (interval[0] > 0.5 || interval[1] < 0.5);
}

function agreement({ agreement: { alpha, fleiss, pairs } }) {
  const rows = pairs.map(({ first, second, kappa }) => [say("pair_of", { first, second }), coefficient(kappa), kappa.value === null ? absent : inWords(kappa.value), String(kappa.num_items)]);
  const made = section(say("agreement"), element("p", { text: say("alpha_line", { value: coefficient(alpha), n: alpha.num_items }) }));
  if (fleiss !== null && fleiss.value !== null) made.append(element("p", { text: say("fleiss_line", { value: coefficient(fleiss) }) }));
  if (rows.length > 0) made.append(table(say("agreement"), [say("pair_head"), say("kappa"), say("in_words"), say("pairs_head")], rows));
  made.append(element("p", { className: "quiet", text: say("agreement_note") }));
  return made;
}

function circles({ num_triads: triads, num_circular: circular, num_prompts: prompts, num_prompts_with_best: best }) {
  return section(say("circles"), element("p", { text: say("circles_line", { triads, circular }) }), element("p", { text: say("best_line", { prompts, best }) }));
}

function notes(found) {
  const entries = found.map(({ annotator, note, number }) =>
    element("li", {}, element("p", { className: "quiet" }, element("bdi", { text: annotator }), element("span", { text: ` · ${say("pair_number", { at: number })}` })), element("p", { className: "content", text: note, dir: "auto" })),
  );
  return section(say("notes"), element("ul", { className: "notes" }, ...entries));
}

keepLanguage(shelf);
refresh();
setInterval(() => {
  if (!document.hidden) refresh();
}, READ_EVERY_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
