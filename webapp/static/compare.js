// One photo, every backend, side by side.

import { ask, Trouble } from "./api.js";
import { title } from "./backends.js";
import { $, bringIntoView, make } from "./dom.js";
import { fill } from "./scores.js";
import { milliseconds, onLanguage, percent, t } from "./texts.js";
import { explain } from "./troubles.js";

let columns = []; // {backend, card, answer?, trouble?}

/**
 * Ask all backends about a photo and show each answer as it comes.
 * @param {string} image data URL
 * @param {{name: string, title: string, local: boolean}[]} backends
 * @param {AbortSignal} signal
 * @returns {Promise<?Trouble>} if Shelly's own server could not be reached, that; else null
 */
export async function compare(image, backends, signal) {
  const mine = (columns = backends.map((backend) => ({ backend, card: card() })));
  $("columns").replaceChildren(...columns.map((column) => column.card));
  columns.forEach(write);
  $("compare").hidden = false;
  bringIntoView($("compare"));
  await Promise.all(
    mine.map(async (column) => {
      try {
        column.answer = await ask(image, { backend: column.backend.name }, signal);
      } catch (trouble) {
        column.trouble = trouble instanceof Trouble ? trouble : new Trouble("general-error");
      }
      write(column);
    }),
  );
  return mine.map(({ trouble }) => trouble).find((it) => it?.code === "unreachable") ?? null;
}

/** Remove the view. */
export function hide() {
  columns = [];
  $("columns").replaceChildren();
  $("compare").hidden = true;
}

function card() {
  const element = make("article", { class: "column" });
  const bars = $("scores").cloneNode(true);
  bars.removeAttribute("id");
  element.append(
    make("h3"),
    make("p", { class: "verdict" }),
    bars,
    make("p", { class: "detail", lang: "en" }),
    make("p", { class: "time" }),
  );
  return element;
}

function write({ backend, card, answer, trouble }) {
  const [name, verdict, bars, detail, time] = card.children;
  const person = answer?.people[0];
  name.textContent = title(backend);
  card.setAttribute("aria-busy", !answer && !trouble);
  card.classList.toggle("wrong", Boolean(trouble));
  bars.hidden = !person;
  time.textContent = answer ? milliseconds(answer.milliseconds) : "";
  detail.textContent = trouble && !backend.local ? trouble.detail : "";
  if (trouble) verdict.textContent = explain(trouble, backend);
  else if (!person) verdict.textContent = t("compare.waiting");
  else if (person.sure) {
    verdict.textContent = `${t(`mood.${person.emotion}`)}, ${percent(person.score)}`;
  } else verdict.textContent = unsure(person);
  if (person) fill(bars, person.scores, person.sure ? person.emotion : "");
}

/** "I am not sure", with the two nearest moods and, if wanted, their probabilities. */
export function unsure({ nearest: [first, second], scores }, numbers = true) {
  return t(numbers ? "unsure" : "unsure.live", {
    first: t(`mood.${first}`),
    firstScore: percent(scores[first]),
    second: t(`mood.${second}`),
    secondScore: percent(scores[second]),
  });
}

export function start() {
  onLanguage(() => columns.forEach(write));
}
