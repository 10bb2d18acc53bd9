// Asking the server, and telling what kind of no its no is.

import { csrf } from "./page.js";

const TIMEOUT_MS = 15000;

/** No answer, or one that says "later": the same is worth asking again. */
export class Later extends Error {}

/** The session is over: a person has to come in again. */
export class Locked extends Error {}

/** The server understood and said no. Asking again changes nothing. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.what);
    this.status = status;
    this.why = error.why ?? "";
    this.next = error.next ?? "";
  }
}

async function ask(path, options) {
  let response;
  let body;
  try {
    response = await fetch(path, {
      ...options,
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.text();
  } catch {
    throw new Later("unreachable");
  }
  if (response.status >= 500 || response.status === 408 || response.status === 429) {
    throw new Later(`status ${response.status}`);
  }
  // 421: it was started anew, and goes by another name.
  if ([401, 403, 421].includes(response.status)) throw new Locked(`status ${response.status}`);
  let parsed;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw new Later("not an answer of this server");
  }
  if (!response.ok && typeof parsed?.error?.what === "string") throw new Refused(response.status, parsed.error);
  // Another program listens there now, or stands between: nothing it says stores or refuses a vote.
  if (!response.ok || typeof parsed !== "object" || parsed === null) throw new Later("not an answer of this server");
  return parsed;
}

export function read(path, query = {}) {
  const asked = new URLSearchParams(query).toString();
  return ask(asked ? `${path}?${asked}` : path, { method: "GET", headers: { Accept: "application/json" } });
}

export async function send(path, content) {
  const reply = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-Palate-CSRF": csrf },
    body: JSON.stringify(content),
  });
  if (reply.stored !== true || !reply.progress) throw new Later("it does not say that it is stored");
  return reply;
}
