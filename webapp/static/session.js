// One photo at a time: asking about it, choosing a face, more advice, other backends.

import * as answerCard from "./answer.js";
import { ask, Trouble } from "./api.js";
import * as backends from "./backends.js";
import { say } from "./bubble.js";
import { compare, hide as hideComparison } from "./compare.js";
import { mayLeave } from "./consent.js";
import { $, bringIntoView } from "./dom.js";
import { mark } from "./faces.js";
import { shape, showPhoto } from "./frame.js";
import * as lines from "./lines.js";
import { stopWaiting, wait } from "./offline.js";
import { prepare } from "./picture.js";
import { show } from "./shelly.js";
import { current, onLanguage, t } from "./texts.js";
import { explain } from "./troubles.js";

/** A cloud that takes longer than this, in milliseconds, may be given up for this machine. */
const PATIENCE_MS = 4000;

let picture = null; // import("./picture.js").Picture, the one asked about
let agreed = new Set(); // names of the clouds that may have it
let question = null; // the AbortController of the question under way
let answer = null; // the last answer about it
let chosen = 0; // index of the face that Shelly talks about
let advising = null; // marks the last request for another line
let answered = () => {}; // called after each answer

const action = (id, icon, key, run) => ({ id, icon, label: () => t(key), run });
const here = () => action("here", "i-home", "here.button", () => inquire(local()));
const local = () => backends.all().find((backend) => backend.local);

/** Take a picture and ask about it. */
export async function take(file) {
  forget();
  const mine = begin();
  try {
    const prepared = await prepare(file);
    if (question !== mine) return;
    picture = prepared;
  } catch (trouble) {
    if (question === mine) fail(asTrouble(trouble, "bad-image"));
    return;
  }
  showPhoto(picture.preview);
  offerComparison();
  await inquire();
}

/** Show the button that asks everybody, if there is a photo and somebody else to ask. */
export function offerComparison() {
  $("compare-all").hidden = !picture || backends.all().length < 2;
}

const asTrouble = (error, code) => (error instanceof Trouble ? error : new Trouble(code));

/** Forget the photo and what was said about it. */
export function forget() {
  question?.abort();
  picture = answer = null;
  agreed = new Set();
  backends.lend([]);
  answerCard.hide();
  hideComparison();
  offerComparison();
  busy(false);
}

/** The user chose another backend: ask it if an answer is awaited, else offer to ask it, too. */
export function changed() {
  if (!picture) return;
  if (isBusy()) return inquire();
  const asked = backends.choice();
  say(
    () => ({ say: t("ask.other", { name: backends.title(asked) }) }),
    [action("ask", "i-again", "ask.button", () => inquire())],
  );
}

/** Say what went wrong and offer a way on. */
export function fail(trouble, backend = backends.choice()) {
  if (trouble.code === "given-up") return;
  busy(false);
  show("neutral");
  const actions = [];
  const away = trouble.code === "unreachable";
  if (!backend.local && picture && !away) actions.push(here());
  const worth = ["busy", "timeout", "general-error", "unreachable"].includes(trouble.code);
  if (picture && (worth || trouble.code.startsWith("backend-"))) {
    actions.push(action("again", "i-again", "again.button", () => inquire(backend)));
  }
  const heic = picture?.heic;
  const named = { ...backend, title: backends.title(backend) };
  say(
    () => ({
      say: explain(trouble, named, heic),
      aside: actions[0]?.id === "here" ? t("trouble.backend-here") : "",
      detail: backend.local ? "" : trouble.detail,
    }),
    actions,
    true,
  );
  if (away) wait(() => (picture ? inquire(backend) : say(() => ({ say: t("awake") }))));
  bringIntoView($("bubble"));
}

function begin() {
  stopWaiting();
  question?.abort();
  question = new AbortController();
  busy(true);
  say(() => ({ say: t("looking") }));
  return question;
}

const isBusy = () => document.body.classList.contains("busy");

function busy(on) {
  $("main").setAttribute("aria-busy", on);
  document.body.classList.toggle("busy", on);
}

/** Whether the photo may go to these backends; asks about clouds that it has not been to. */
async function allowed(asked, insteadHere) {
  const clouds = asked.filter(({ local, name }) => !local && !agreed.has(name));
  if (clouds.length === 0) return "yes";
  busy(false);
  const reply = await mayLeave(clouds.map((cloud) => cloud.title), insteadHere);
  if (reply === "yes") {
    clouds.forEach(({ name }) => agreed.add(name));
    backends.lend(backends.all().filter(({ name }) => agreed.has(name)));
  }
  if (reply === "no") say(() => ({ say: t("consent.nothing") }), [here()]);
  return reply;
}

/** Ask a backend about the photo. */
async function inquire(backend = backends.choice()) {
  const asked = picture;
  const reply = await allowed([backend], true);
  if (picture !== asked || reply === "no") return;
  if (reply === "here") backend = local();
  const mine = begin();
  hideComparison();
  const slow = backend.local ? 0 : setTimeout(() => tooSlow(backend), PATIENCE_MS);
  if (!backend.local) say(() => ({ say: t("looking.far", { name: backend.title }) }));
  try {
    const language = current();
    const options = { backend: backend.name, language, after: lines.last() };
    const fresh = await ask(picture.image, options, mine.signal);
    if (question === mine) replied(fresh, language);
  } catch (trouble) {
    if (question === mine) fail(trouble, backend);
  } finally {
    clearTimeout(slow);
  }
}

function tooSlow(backend) {
  say(() => ({ say: t("looking.slow", { name: backend.title }) }), [here()]);
}

function replied(fresh, language) {
  busy(false);
  answer = fresh;
  for (const person of answer.people) person.language = language;
  shape(answer.width, answer.height);
  choose(0);
  showCrop(); // which may be open since the answer before
  bringIntoView($("bubble"));
  answered();
}

/** Talk about one of the faces. */
function choose(index) {
  chosen = index;
  const person = answer.people[index];
  mark(answer, index, choose);
  show(person.emotion);
  answerCard.write(answer, person, false);
  say(
    () => answerCard.words(person.language === current() ? person : { ...person, advice: "" }),
    [action("another", "i-bubble", "advice.another", () => advise(person))],
  );
  if (person.language === current()) lines.remember(person.advice_id);
  else advise(person);
}

/** Another line of advice for a person, in the language in use. */
async function advise(person) {
  const mine = (advising = {}); // a second press replaces the first, whose line was never seen
  const said = answer;
  try {
    const line = await lines.another(person.emotion);
    if (advising !== mine || answer !== said || !line) return;
    Object.assign(person, line);
    if (answer.people[chosen] === person) choose(chosen);
  } catch (trouble) {
    if (advising === mine && answer === said) fail(trouble);
  }
}

/** Ask every backend at once. */
async function compareAll() {
  const asked = picture;
  if ((await allowed(backends.all(), false)) !== "yes" || picture !== asked) return;
  const mine = begin();
  say(() => ({ say: t("compare.looking") }));
  const trouble = await compare(picture.image, backends.all(), mine.signal);
  if (question !== mine) return;
  if (trouble) return fail(trouble);
  busy(false);
  say(() => ({ say: t("compare.done") }));
}

/** Fetch what the model saw when it is first asked for. */
async function showCrop() {
  const said = answer;
  if (!$("crop").open || $("crop").hidden || !said || said.people[0].crop) return;
  try {
    const options = { backend: said.backend, language: current(), crops: true };
    const { people } = await ask(picture.image, options, question.signal);
    people.forEach(({ crop }, index) => (said.people[index].crop = crop));
    if (answer === said) answerCard.write(answer, answer.people[chosen], false);
  } catch (trouble) {
    if (answer === said) fail(asTrouble(trouble, "general-error"));
  }
}

/**
 * Listen to the buttons.
 * @param {() => void} whenAnswered called after each answer
 */
export function start(whenAnswered) {
  answered = whenAnswered;
  $("compare-all").addEventListener("click", compareAll);
  $("crop").addEventListener("toggle", showCrop);
  onLanguage(() => {
    if (!answer) return;
    const person = answer.people[chosen];
    mark(answer, chosen, choose);
    answerCard.write(answer, person, false);
    if (person.language !== current() && $("another")) advise(person);
  });
}
