// The card with what Shelly saw: who answered, the probabilities, and the crop on request.

import { find, onThisMachine, title } from "./backends.js";
import { unsure } from "./compare.js";
import { $ } from "./dom.js";
import { fill } from "./scores.js";
import { CERTAIN, duration, percent, t } from "./texts.js";

/**
 * Write the card.
 * @param {import("./api.js").Answer} answer
 * @param {import("./api.js").Person} person the chosen one
 * @param {boolean} live whether it changes with every frame, which offers no crop
 */
export function write(answer, person, live) {
  const backend = find(answer.backend);
  $("seen").hidden = false;
  $("by").textContent = t(onThisMachine(backend) ? "seen.here" : "seen.by", {
    name: title(backend),
    time: duration(answer.milliseconds),
  });
  const count = answer.people.length;
  $("count").hidden = count < 2;
  $("count").textContent = t("seen.faces", { count });
  fill($("scores"), person.scores, person.sure ? person.emotion : "");
  $("crop").hidden = live || !backend.local;
  $("crop-image").hidden = !person.crop;
  if (person.crop) $("crop-image").src = person.crop;
}

/**
 * What Shelly says about a person.
 * @param {import("./api.js").Person} person
 * @param {boolean} [numbers] whether to name the probabilities
 * @returns {import("./bubble.js").Words}
 */
export function words(person, numbers = true) {
  const { advice, emotion, score, sure } = person;
  const certain = score >= CERTAIN ? t("sure.very") : t("sure", { score: percent(score) });
  return {
    say: sure ? t(`seen.${emotion}`) : unsure(person, numbers),
    intro: advice ? t(sure ? "advice.intro" : "unsure.advice") : "",
    advice,
    aside: sure && numbers ? certain : "",
  };
}

/** Close the card. */
export function hide() {
  $("seen").hidden = true;
  $("crop").open = false;
}
