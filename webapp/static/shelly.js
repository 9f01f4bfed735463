// Shelly herself: her mood, her eyes, and the colour of her sea.

import { $, calm } from "./dom.js";
import { onLanguage, t } from "./texts.js";

/** How far her pupils move, in units of the drawings (400 wide). */
const REACH = 9;

const drawings = new Map(); // mood -> SVG element
let wanted = "neutral";
let drawn = ""; // the page begins with a picture, whose eyes cannot move

/**
 * Show a mood.
 * @param {string} mood one of the seven classes
 */
export async function show(mood) {
  const stage = $("shelly");
  wanted = mood;
  name();
  const drawing = drawn === mood ? null : await draw(mood);
  if (wanted !== mood || !drawing) return; // no change, another mood, or the server went
  drawn = mood;
  stage.replaceChildren(drawing);
  stage.dataset.mood = mood;
  document.body.dataset.mood = mood; // tints the sea
  stage.classList.remove("changed");
  void stage.offsetWidth; // lets the animation start afresh
  stage.classList.add("changed");
}

/**
 * Let her look somewhere.
 * @param {number} x -1 for far left to 1 for far right, seen from the reader
 * @param {number} y -1 for up to 1 for down
 */
export function look(x, y) {
  const length = Math.max(1, Math.hypot(x, y));
  const shift = `translate(${((x / length) * REACH).toFixed(1)} ${((y / length) * REACH).toFixed(1)})`;
  for (const gaze of $("shelly").querySelectorAll(".gaze")) gaze.setAttribute("transform", shift);
}

/** Close her eyes while her server is away. */
export const sleep = (asleep) => document.body.classList.toggle("asleep", asleep);

/** The drawing of a mood as an element, so that its eyes can move; null if it cannot be had. */
async function draw(mood) {
  if (!drawings.has(mood)) {
    try {
      const response = await fetch(`static/shelly/${mood}.svg`);
      const drawing = new DOMParser().parseFromString(await response.text(), "image/svg+xml");
      const svg = document.importNode(drawing.documentElement, true);
      svg.querySelector("title")?.remove(); // the stage has the name, in the right language
      svg.removeAttribute("role");
      svg.setAttribute("aria-hidden", "true");
      drawings.set(mood, svg);
    } catch {
      return null;
    }
  }
  return drawings.get(mood);
}

function name() {
  $("shelly").setAttribute("aria-label", t(`shelly.${wanted}`));
}

/** Her eyes follow the pointer, unless the reader wants calm. */
function follow(event) {
  if (calm() || document.body.classList.contains("live")) return;
  const { left, top, width, height } = $("shelly").getBoundingClientRect();
  look((event.clientX - left - width / 2) / 300, (event.clientY - top - height / 2) / 300);
}

export function start() {
  onLanguage(name);
  addEventListener("pointermove", follow, { passive: true });
  return show("neutral");
}
