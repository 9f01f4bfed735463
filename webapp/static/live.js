// The live view: frames of the camera, one question at a time, at a pace the machine can keep.

import { ask } from "./api.js";
import { dataUrl, draw } from "./picture.js";

/** Rest after an answer as a part of the time it took, so that the machine can breathe. */
const REST = 0.2;
/** Least time from one frame to the next, in milliseconds: more would look no smoother. */
const LEAST_MS = 66;
/** Longest side of a frame, in pixels: small enough to be quick, large enough for a face. */
const SIDES = [640, 480, 360];
/** A frame that takes longer than this, in milliseconds, makes the next one smaller. */
const SLOW_MS = 600;
/** One that takes less makes it larger again. */
const QUICK_MS = 150;
const QUALITY = 0.8;
/** Time in which a frame fades, in milliseconds: shorter would flicker, longer would lag. */
const FADE_MS = 400;
/** A mood counts after it has led for so long, in milliseconds. */
const STEADY_MS = 700;
/** Least probability of a mood to be sure of it, as the server has it for photos. */
const SURE = 0.5;
/** Problems that the next frame may not have. */
const PASSING = ["no-face", "busy", "too-small", "bad-image"];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Watch a video until told to stop. Only one frame is ever under way, and it is the newest:
 * each is drawn when the answer to the one before has come.
 * @param {HTMLVideoElement} video
 * @param {(answer: ?import("./api.js").Answer, rate: number) => void} see gets each answer,
 *   null for a frame without a face, and the frames per second
 * @param {(trouble: import("./api.js").Trouble) => void} fail called once, at the end
 * @returns {() => void} stops
 */
export function watch(video, see, fail) {
  const stop = new AbortController();
  let size = 0; // index into SIDES
  let rate = 0;

  async function once() {
    const frame = await dataUrl(await draw(video, SIDES[size], QUALITY));
    const answer = await ask(frame, { backend: "local", live: true }, stop.signal);
    return answer.people.length > 0 ? answer : null;
  }

  async function run() {
    while (!stop.signal.aborted) {
      if (document.hidden || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
        await pause(LEAST_MS);
        continue;
      }
      const start = performance.now();
      let answer = null;
      let rest = 0;
      try {
        answer = await once();
      } catch (trouble) {
        if (stop.signal.aborted) return;
        if (!PASSING.includes(trouble.code)) return fail(trouble);
        rest = 1000 * trouble.retryAfter;
      }
      if (stop.signal.aborted) return;
      const took = performance.now() - start;
      if (took > SLOW_MS) size = Math.min(size + 1, SIDES.length - 1);
      else if (took < QUICK_MS) size = Math.max(size - 1, 0);
      rest = Math.max(rest, took * REST, LEAST_MS - took);
      const now = 1000 / (took + rest);
      rate = rate ? rate + 0.2 * (now - rate) : now;
      see(answer, rate);
      await pause(rest);
    }
  }

  run();
  return () => stop.abort();
}

/** Probabilities without flicker, and whether what they say has been so for a while. */
export class Steady {
  #scores = null;
  #verdict = "";
  #since = 0;
  #when = 0;

  /**
   * Add a frame.
   * @param {Object<string, number>} scores
   * @returns {{scores: Object<string, number>, nearest: string[], sure: boolean, steady: boolean}}
   *   smooth probabilities; the two largest ones' moods, the likelier first
   */
  add(scores) {
    const before = this.#scores ?? scores;
    const now = performance.now();
    const newest = 1 - Math.exp((this.#when - now) / FADE_MS); // the slower, the more it counts
    this.#when = now;
    this.#scores = Object.fromEntries(
      Object.entries(scores).map(([mood, value]) => [
        mood,
        before[mood] + newest * (value - before[mood]),
      ]),
    );
    const smooth = this.#scores;
    const nearest = Object.keys(smooth).sort((a, b) => smooth[b] - smooth[a]).slice(0, 2);
    const sure = smooth[nearest[0]] >= SURE;
    const verdict = `${nearest[0]} ${sure}`;
    if (verdict !== this.#verdict) this.#since = now;
    this.#verdict = verdict;
    const steady = now - this.#since >= STEADY_MS;
    return { scores: smooth, nearest, sure, steady };
  }
}
