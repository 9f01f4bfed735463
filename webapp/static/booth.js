// The photo booth: the camera's picture, a photo of it, and the live view.

import * as answerCard from "./answer.js";
import { Trouble } from "./api.js";
import { say } from "./bubble.js";
import { close, lent, open } from "./camera.js";
import { $, bringIntoView } from "./dom.js";
import { clear, mark } from "./faces.js";
import { showHint, showVideo } from "./frame.js";
import * as lines from "./lines.js";
import { Steady, watch } from "./live.js";
import { draw } from "./picture.js";
import { look, show } from "./shelly.js";
import { number, onLanguage, t } from "./texts.js";

/** Longest side of a photo, in pixels: as the camera gives it. */
const SIDE = 1600;
/** Frames without a face before Shelly says so: one may be blurred. */
const PATIENCE = 5;
/** Longest time between the two presses of a double click, in milliseconds. */
const HASTE_MS = 400;

let handlers; // {take, fail, clean}
let stopLive = null;
let view = null; // what the live view shows
let opening = 0; // counts calls, so that a late camera is not opened after a stop

/** Switch the camera on. */
async function enter() {
  if (!lent()) return $("selfie").click(); // the phone's own camera
  handlers.clean();
  const mine = (opening += 1);
  const wanted = () => mine === opening;
  say(() => ({ say: t("camera.ask") }));
  try {
    if (!(await open($("video"), wanted, lost))) return;
  } catch (trouble) {
    if (wanted()) handlers.fail(trouble);
    return;
  }
  showVideo();
  controls(true, false);
  show("neutral");
  say(() => ({ say: t("camera.start") }));
  $("shoot").focus({ preventScroll: true });
  bringIntoView($("booth"));
  bringIntoView($("bubble")); // it and the picture fit on a phone, so both are seen
}

/** The camera went away by itself: unplugged, or taken by the system. */
function lost() {
  leave();
  answerCard.hide();
  handlers.fail(new Trouble("camera-missing"));
}

/** Switch the camera off, if it is on. */
export function leave() {
  opening += 1;
  if ($("booth").hidden) return false;
  stopWatching();
  close($("video"));
  controls(false, false);
  showHint();
  return true;
}

async function shoot() {
  const shot = draw($("video"), SIDE);
  leave(); // at once, so that a second press finds no camera
  $("camera").focus();
  try {
    handlers.take(await shot);
  } catch (trouble) {
    handlers.fail(trouble);
  }
}

function stop() {
  if (!leave()) return;
  answerCard.hide();
  show("neutral");
  say(() => ({ say: t("camera.stopped") }));
  $("camera").focus();
}

function controls(on, live) {
  $("booth").hidden = !on;
  $("ways").hidden = on;
  $("live").hidden = live;
  $("badge").hidden = !live;
  $("local-only").hidden = !on;
  document.body.classList.toggle("camera", on);
  document.body.classList.toggle("live", live);
}

function goLive() {
  if (view) return;
  controls(true, true);
  const since = performance.now();
  view = { since, steady: new Steady(), chosen: 0, told: "", missed: 0, answer: null };
  say(() => ({ say: t("camera.watching") }));
  stopLive = watch($("video"), see, (trouble) => {
    leave();
    answerCard.hide();
    handlers.fail(trouble);
  });
  $("stop").focus({ preventScroll: true });
}

/** Whether a press may be the second half of a double click on a button that has made way. */
const hasty = () => view !== null && performance.now() - view.since < HASTE_MS;

function stopWatching() {
  stopLive?.();
  stopLive = view = null;
  clear();
}

/** Show the answer for one frame. */
function see(answer, rate) {
  $("rate").textContent = t("camera.rate", { rate: number(rate) });
  if (!answer) return seeNobody();
  view.missed = 0;
  view.chosen = nearest(answer.people);
  view.answer = answer;
  const person = answer.people[view.chosen];
  const { scores, nearest: two, sure, steady } = view.steady.add(person.scores);
  const shown = { ...person, scores, emotion: two[0], score: scores[two[0]], nearest: two, sure };
  const [x0, y0, x1, y1] = person.box;
  // The picture is a mirror: Shelly looks where the reader is.
  look(1 - (x0 + x1) / answer.width, (y0 + y1) / answer.height - 1);
  mark(answer, view.chosen, (index) => {
    view.chosen = index;
    view.steady = new Steady(); // another person's moods
  });
  answerCard.write(answer, shown, true);
  if (steady && verdict(shown) !== view.told) tell(shown);
}

/** What is worth saying: a mood, or not being sure of it. */
const verdict = ({ emotion, sure }) => (sure ? emotion : `${emotion}?`);

function seeNobody() {
  view.missed += 1;
  clear();
  if (view.missed !== PATIENCE) return;
  view.told = "";
  view.steady = new Steady();
  answerCard.hide();
  say(() => ({ say: t("camera.nobody") }));
}

/** Index of the face nearest to the one chosen before: faces come largest first. */
function nearest(people) {
  const before = view.answer?.people[view.chosen]?.box;
  if (!before) return 0;
  const distance = ({ box }) => box.reduce((sum, side, i) => sum + Math.abs(side - before[i]), 0);
  const distances = people.map(distance);
  return distances.indexOf(Math.min(...distances));
}

/** Say a mood that stays, with a line of advice. */
async function tell(person) {
  const mine = view;
  const told = (mine.told = verdict(person));
  mine.person = person;
  show(person.emotion);
  // The numbers change with every frame; the card has them.
  const words = () => answerCard.words(person, false);
  say(words);
  try {
    const line = await lines.another(person.emotion);
    if (view !== mine || mine.told !== told || !line) return;
    lines.remember(line.advice_id);
    person.advice = line.advice;
    say(words);
  } catch {
    // The next frame meets the same trouble, and says so.
  }
}

/**
 * Listen to the camera's buttons.
 * @param {Object} given
 * @param {(photo: Blob) => void} given.take gets a photo
 * @param {(trouble: import("./api.js").Trouble) => void} given.fail
 * @param {() => void} given.clean forgets the photo before
 */
export function start(given) {
  handlers = given;
  $("camera").addEventListener("click", enter);
  $("shoot").addEventListener("click", () => hasty() || shoot());
  $("live").addEventListener("click", goLive);
  $("stop").addEventListener("click", () => hasty() || stop());
  addEventListener("pagehide", stop); // the browser may bring the page back as it was
  onLanguage(() => {
    if (view?.told) tell({ ...view.person, advice: "" });
  });
}
