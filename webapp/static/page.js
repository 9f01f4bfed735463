// The page: choose a photo, ask Shelly, read her advice.

import { photoAsDataUrl } from "./photo.js";

const TIMEOUT_MS = 60_000;

const SEEN = {
  anger: "I can see your anger.",
  disgust: "I can see your disgust.",
  fear: "I can see your fear.",
  happiness: "I can see your happiness!",
  neutral: "I can see your calm.",
  sadness: "I can see your sadness.",
  surprise: "I can see your surprise!",
};

const LOOKS = {
  anger: "cross",
  disgust: "disgusted",
  fear: "frightened",
  happiness: "happy",
  neutral: "calm",
  sadness: "sad",
  surprise: "astonished",
};

const UNREADABLE = "I cannot open that file any more. Please choose it again.";
const UNREACHABLE = "I cannot reach my own server. Is it still running?";
const TOO_SLOW = "That took too long, and I gave up. Please try again.";
const TOO_LARGE = "That photo is too large for me. A smaller copy will do.";
const STRANGE = "I got an answer that I do not understand. Please try again.";

const $ = (id) => document.getElementById(id);

let photo = null; // the File to ask about
let asking = null; // the AbortController of the question under way

// Shelly

function show(mood) {
  const shelly = $("shelly");
  if (shelly.dataset.mood === mood) return;
  shelly.src = document.querySelector(`#scores [data-mood="${mood}"] img`).src;
  shelly.alt = `Shelly, a scallop with a bow tie and a pearl, looks ${LOOKS[mood]}`;
  shelly.dataset.mood = mood;
  shelly.classList.remove("changed");
  void shelly.offsetWidth; // lets the animation start afresh
  shelly.classList.add("changed");
}

function say(text, aside = "") {
  $("bubble").classList.remove("error");
  $("say").textContent = text;
  $("aside").textContent = aside;
  $("aside").hidden = aside === "";
}

function fail(text) {
  show("neutral");
  say(text);
  $("no-preview").hidden = true;
  $("bubble").classList.add("error");
  bringIntoView($("bubble"));
}

function bringIntoView(element) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

// Choosing

function choose(file) {
  asking?.abort();
  asking = null;
  busy(false);
  photo = file;
  show("neutral");
  $("result").hidden = true;
  $("face").toggleAttribute("hidden", true);
  $("no-preview").hidden = true;
  $("form").classList.add("chosen");
  $("choose").textContent = "Choose another photo";
  $("ask").disabled = false;
  say("Thank you! Now press “Ask Shelly”, and I will have a look.");

  URL.revokeObjectURL($("photo").src);
  $("photo").src = URL.createObjectURL(file);
  $("preview").hidden = false;
}

$("photo").addEventListener("error", () => {
  $("preview").hidden = true;
  $("no-preview").hidden = false;
});

$("file").addEventListener("change", (event) => {
  // Cancelling the dialogue empties the list in some browsers; the photo before stays.
  if (event.target.files.length > 0) choose(event.target.files[0]);
});

// A file dropped beside the target would otherwise replace the page.
for (const type of ["dragover", "drop"]) {
  addEventListener(type, (event) => event.preventDefault());
}
for (const type of ["dragenter", "dragover"]) {
  $("drop").addEventListener(type, () => $("drop").classList.add("over"));
}
for (const type of ["dragleave", "drop"]) {
  $("drop").addEventListener(type, () => $("drop").classList.remove("over"));
}
$("drop").addEventListener("drop", (event) => {
  const file = event.dataTransfer.files[0];
  if (file) choose(file);
});

// Asking

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (photo === null || asking) return;

  const question = new AbortController();
  asking = question;
  busy(true);
  say("Let me have a look…");
  const answer = await ask(photo, question);
  if (asking !== question) return; // another photo was chosen meanwhile
  asking = null;
  busy(false);
  if (question.signal.aborted) fail(TOO_SLOW);
  else if (answer.problem) fail(answer.problem);
  else reply(answer);
});

function busy(on) {
  $("page").setAttribute("aria-busy", on);
  $("ask").setAttribute("aria-disabled", on); // "disabled" would take the focus away
  $("ask-label").textContent = on ? "Shelly is looking…" : "Ask Shelly";
}

/** The server's answer, or `{problem}` with a sentence for the user. Never throws. */
async function ask(file, question) {
  let image;
  try {
    image = await photoAsDataUrl(file);
  } catch {
    return { problem: UNREADABLE };
  }
  const timer = setTimeout(() => question.abort(), TIMEOUT_MS);
  try {
    const response = await fetch("advice", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ image }),
      signal: question.signal,
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok && answer.emotion in SEEN) return answer;
    if (response.ok) return { problem: STRANGE };
    return { problem: answer.description ?? (response.status === 413 ? TOO_LARGE : STRANGE) };
  } catch {
    return { problem: UNREACHABLE };
  } finally {
    clearTimeout(timer);
  }
}

// Answering

const percent = (probability) => `${Math.round(100 * probability)}%`;

function reply({ emotion, advice, score, scores, face, faces, width, height }) {
  show(emotion);
  const several = faces > 1 ? ` I found ${faces} faces and looked at the largest.` : "";
  say(`${SEEN[emotion]} Take my advice: ${advice}`, `I am ${percent(score)} sure.${several}`);
  markFace(face.box, width, height);
  $("result").hidden = false;
  for (const row of $("scores").children) {
    const probability = scores[row.dataset.mood];
    row.classList.toggle("top", row.dataset.mood === emotion);
    row.querySelector(".percent").textContent = percent(probability);
    row.querySelector(".bar span").style.width = `${100 * probability}%`;
  }
  bringIntoView($("bubble"));
}

function markFace([x0, y0, x1, y1], width, height) {
  $("face").setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const rect of $("face").children) {
    rect.setAttribute("x", x0);
    rect.setAttribute("y", y0);
    rect.setAttribute("width", x1 - x0);
    rect.setAttribute("height", y1 - y0);
  }
  $("face").toggleAttribute("hidden", false);
}
