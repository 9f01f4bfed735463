// What Shelly says, and the buttons below it.

import { $, make } from "./dom.js";
import { onLanguage } from "./texts.js";

let words = () => ({}); // makes the sentences, anew after each change of language

/**
 * @typedef {Object} Words
 * @property {string} say the sentence
 * @property {string} [intro] before the advice
 * @property {string} [advice]
 * @property {string} [aside] in small letters
 * @property {string} [detail] in the words of a cloud, which are English
 *
 * @typedef {Object} Action
 * @property {string} id
 * @property {string} icon id of a symbol in the page
 * @property {() => string} label
 * @property {() => void} run
 */

/**
 * Say something.
 * @param {() => Words} make makes the sentences in the language of the moment
 * @param {Action[]} [actions]
 * @param {boolean} [wrong] whether something went wrong
 */
export function say(make, actions = [], wrong = false) {
  words = make;
  $("bubble").classList.toggle("wrong", wrong);
  write();
  offer(actions);
}

function write() {
  const { say: sentence = "", intro = "", advice = "", aside = "", detail = "" } = words();
  put("say", sentence);
  put("intro", intro);
  put("advice", advice);
  put("aside", aside);
  put("detail", detail);
}

/** Only what differs is touched: a screen reader speaks each change. */
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = text === "";
}

function offer(actions) {
  const focused = document.activeElement?.closest("#actions button")?.id;
  const buttons = actions.map(({ id, icon, label, run }) => {
    const button = make("button", { type: "button", id, class: "quiet" });
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `#${icon}`);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    svg.append(use);
    const text = make("span", {}, label());
    button.append(svg, text);
    button.relabel = () => (text.textContent = label());
    button.addEventListener("click", run);
    return button;
  });
  $("actions").replaceChildren(...buttons);
  $("actions").hidden = buttons.length === 0;
  if (focused) ($(focused) ?? buttons[0] ?? $("file")).focus(); // a replaced button loses it
}

export function start() {
  onLanguage(() => {
    write();
    for (const button of $("actions").children) button.relabel();
  });
}
