// What the page says, in the language of its reader.

/** Languages with a file in texts/, the first one for everybody else. */
export const LANGUAGES = ["en", "de"];

const REMEMBERED = "shelly-language";
const listeners = [];
let texts = {};
let language = LANGUAGES[0];

/** The language in use: "en" or "de". */
export const current = () => language;

/** Call `listener` after each change of language. */
export const onLanguage = (listener) => listeners.push(listener);

/** The language chosen last time, else the first of the browser's that we have. */
export function preferred() {
  const wishes = [recall(), ...navigator.languages].map((tag) => (tag ?? "").slice(0, 2));
  return wishes.find((tag) => LANGUAGES.includes(tag)) ?? LANGUAGES[0];
}

/**
 * Load a language and write it over the page.
 * @param {string} tag one of LANGUAGES
 */
export async function speak(tag) {
  texts = (await import(`./texts/${tag}.js`)).default;
  language = tag;
  document.documentElement.lang = tag;
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
  for (const image of document.querySelectorAll("[data-alt]")) image.alt = t(image.dataset.alt);
  for (const listener of listeners) listener();
}

/** Use a language from now on, also next time. */
export function remember(tag) {
  try {
    localStorage.setItem(REMEMBERED, tag);
  } catch {
    // A browser that stores nothing asks again next time.
  }
  return speak(tag);
}

function recall() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

/**
 * A text in the language in use.
 * @param {string} key as in texts/en.js
 * @param {Object<string, string|number>} [values] for its {braces}
 */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Whether there is a text under this key. */
export const has = (key) => key in texts;

/** From here on a probability would be written as 100%, which none ever is. */
export const CERTAIN = 0.995;

/** 0.973 as "97%" or "97 %"; nothing short of certainty reads as 100%. */
export function percent(probability) {
  const format = new Intl.NumberFormat(language, { style: "percent" });
  return probability >= CERTAIN ? `>${format.format(0.99)}` : format.format(probability);
}

/** A number of milliseconds with its unit, to compare with others. */
export const milliseconds = (value) => measure(value, "millisecond", 0);

/** The same to be read alone: seconds from one second on. */
export const duration = (value) =>
  value < 1000 ? milliseconds(value) : measure(value / 1000, "second", 1);

const measure = (value, unit, maximumFractionDigits) =>
  new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits }).format(value);

/** Names in a row: "A, B and C". */
export const list = (names) => new Intl.ListFormat(language).format(names);

/** A number with one decimal at most. */
export const number = (value) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(value);
