// The seven probabilities as bars with numbers.

import { percent, t } from "./texts.js";

/**
 * Fill a list whose items have `data-mood`.
 * @param {HTMLElement} list
 * @param {Object<string, number>} scores probability of each mood
 * @param {string} top the mood to set in bold
 */
export function fill(list, scores, top) {
  for (const row of list.children) {
    const { mood } = row.dataset;
    const probability = scores[mood] ?? 0;
    row.classList.toggle("top", mood === top);
    row.querySelector(".name").textContent = t(`mood.${mood}`);
    row.querySelector(".percent").textContent = percent(probability);
    row.querySelector(".bar span").style.transform = `scaleX(${probability})`;
  }
}
