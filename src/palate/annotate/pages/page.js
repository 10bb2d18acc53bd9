// What the server wrote into this page: its words, its keys, its language.

const data = JSON.parse(document.getElementById("page-data").textContent);

export const keys = data.keys;
export const language = data.language;
export const store = data.store;
export const csrf = document.querySelector("meta[name=palate-csrf]").content;

const numbers = new Intl.NumberFormat(data.words.language_tag);

/** A string of the wording with `{name}` filled in. For `n` of 1 there may be a form of its own. */
export function say(key, values = {}) {
  const one = values.n === 1 ? data.words[`${key}_one`] : undefined;
  const text = one ?? data.words[key];
  if (text === undefined) throw new Error(`no wording for ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

/** A word of the wording where there is one; else what was given, as it came. */
export function sayOr(key, otherwise) {
  return data.words[key] ?? otherwise;
}

export function percent(share, digits = 0) {
  const options = { style: "percent", maximumFractionDigits: digits, minimumFractionDigits: digits };
  return new Intl.NumberFormat(data.words.language_tag, options).format(share);
}

export function decimal(value, digits = 2) {
  const options = { maximumFractionDigits: digits, minimumFractionDigits: digits };
  return new Intl.NumberFormat(data.words.language_tag, options).format(value).replace("-", "\u2212");
}

/** The language links keep what else the address says, and the choice is kept for the next visit. */
export function keepLanguage(shelf) {
  const address = new URL(location.href);
  for (const link of document.querySelectorAll("a[data-language]")) {
    const other = new URL(address);
    other.searchParams.set("lang", link.dataset.language);
    link.href = other.pathname + other.search;
    link.addEventListener("click", () => shelf.set("palate.language", link.dataset.language));
  }
  const wanted = shelf.get("palate.language");
  const known = [...document.querySelectorAll("a[data-language]")].some((a) => a.dataset.language === wanted);
  if (!address.searchParams.has("lang") && known) {
    address.searchParams.set("lang", wanted);
    location.replace(address);
  }
}
