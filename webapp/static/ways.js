// The ways in for a picture that already exists: choose, drop, paste, sample.

import { Trouble } from "./api.js";
import { $ } from "./dom.js";
import { onLanguage, t } from "./texts.js";

/** In public domain: see the list of notices. */
const SAMPLES = ["astronaut", "admiral", "both"];

let next = 0;
let pictures = 0; // counts them, so that a late sample replaces nothing newer

/**
 * Listen to all ways in.
 * @param {(file: Blob) => void} whenTaken gets each picture
 * @param {(trouble: Trouble) => void} fail
 */
export function start(whenTaken, fail) {
  const take = (file) => {
    pictures += 1;
    whenTaken(file);
  };
  for (const id of ["file", "selfie"]) {
    $(id).addEventListener("change", (event) => {
      const [file] = event.target.files; // none when the dialogue was cancelled
      if (file) take(file);
      event.target.value = ""; // so that the same file can be chosen again
    });
  }
  dropping(take, fail);
  addEventListener("paste", (event) => {
    if (event.target.closest?.("input, textarea")?.type === "text") return;
    event.preventDefault();
    hand(event.clipboardData, take, fail);
  });
  $("sample").addEventListener("click", async () => {
    const mine = (pictures += 1);
    try {
      const picture = await sample();
      if (pictures === mine) take(picture);
    } catch (trouble) {
      if (pictures === mine) fail(trouble);
    }
  });
  const apple = /Mac|iPhone|iPad/.test(navigator.platform);
  onLanguage(() => {
    $("paste").textContent = t("photo.paste", { keys: apple ? "⌘V" : t("photo.keys") });
  });
}

/** A picture may be dropped anywhere; beside a target it would replace the page. */
function dropping(take, fail) {
  let depth = 0; // the pointer also enters and leaves the elements inside
  const over = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragenter", () => over((depth += 1) > 0));
  addEventListener("dragleave", () => over((depth -= 1) > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over((depth = 0) > 0);
    hand(event.dataTransfer, take, fail);
  });
}

/** Give on the first picture of a drop or a paste; any file will do, the server explains. */
function hand(transfer, take, fail) {
  if (document.querySelector("dialog[open]")) return; // first the question about the photo before
  const files = [...(transfer?.files ?? [])];
  const file = files.find(({ type }) => type.startsWith("image/")) ?? files[0];
  if (file) take(file);
  else fail(new Trouble("no-picture"));
}

/** The next sample picture. */
async function sample() {
  const name = SAMPLES[next];
  next = (next + 1) % SAMPLES.length;
  try {
    const response = await fetch(`static/samples/${name}.jpg`);
    if (response.ok) return await response.blob();
  } catch {
    throw new Trouble("unreachable");
  }
  throw new Trouble("general-error");
}
