// Lines of advice, never the same one twice in a row.

import * as api from "./api.js";
import { current } from "./texts.js";

let read; // id of the line read last; for whom and in which mood does not matter

/** Id of the line that must not come next; undefined before the first. */
export const last = () => read;

/** Remember a line that is on the page. */
export const remember = (id) => (read = id ?? read);

/**
 * Another line, in the language in use.
 * @param {string} emotion
 * @returns {Promise<?{advice: string, advice_id: number, language: string}>} null if the language
 *   has changed meanwhile
 */
export async function another(emotion) {
  const language = current();
  const line = await api.another(emotion, language, read);
  return current() === language ? { ...line, language } : null;
}
