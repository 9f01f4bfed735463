// Questions to Shelly's server.

/**
 * @typedef {Object} Person one face of a photo
 * @property {number[]} box x0, y0, x1, y1 in pixels of the upright photo
 * @property {string} emotion the most probable mood
 * @property {number} score its probability
 * @property {boolean} sure whether the mood can be named outright
 * @property {string[]} nearest the two most probable moods
 * @property {Object<string, number>} scores probability of each mood
 * @property {string} [advice]
 * @property {number} [advice_id] to ask for another line after it
 * @property {string} [crop] data URL of the face as the model saw it
 *
 * @typedef {Object} Answer
 * @property {string} backend who answered
 * @property {number} milliseconds how long it took there
 * @property {Person[]} people largest face first
 * @property {number} width of the photo, in pixels
 * @property {number} height
 */

const TIMEOUT_MS = 60_000;

/** Something went wrong; `code` is the end of a key "trouble.…" in texts/. */
export class Trouble extends Error {
  /**
   * @param {string} code
   * @param {string} [detail] what the server said, in English
   * @param {number} [retryAfter] seconds to wait before the next question
   */
  constructor(code, detail = "", retryAfter = 0) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/**
 * What Shelly sees in a photo.
 * @param {string} image data URL
 * @param {{backend?: string, language?: string, after?: number, crops?: boolean, live?: boolean}} options
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>}
 */
export async function ask(image, options, signal) {
  const answer = await request("advice", signal, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ image, ...options }),
  });
  if (!Array.isArray(answer.people)) throw new Trouble("general-error");
  return answer;
}

/**
 * Another line of advice.
 * @param {string} emotion
 * @param {string} language
 * @param {number} [after] id of the line that must not come again
 * @returns {Promise<{advice: string, advice_id: number}>}
 */
export function another(emotion, language, after) {
  const query = new URLSearchParams({ emotion, language });
  if (after !== undefined) query.set("after", after);
  return request(`advice?${query}`);
}

/** @returns {Promise<{default: string, backends: {name: string, title: string, local: boolean}[]}>} */
export const backends = () => request("backends");

/** Whether the server answers at all. */
export const awake = () => request("health").then(() => true, () => false);

async function request(path, signal, options = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), TIMEOUT_MS);
  const stop = () => limit.abort();
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(path, { ...options, signal: limit.signal, cache: "no-store" });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const code = answer.message ?? (response.status === 413 ? "too-large" : "general-error");
    const wait = Number(response.headers.get("Retry-After")) || 0;
    throw new Trouble(code, answer.description, wait);
  } catch (error) {
    if (error instanceof Trouble) throw error;
    if (signal?.aborted) throw new Trouble("given-up");
    throw new Trouble(limit.signal.aborted ? "timeout" : "unreachable");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
