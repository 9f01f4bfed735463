// The question before a photo leaves the machine.

import { $ } from "./dom.js";
import { list, onLanguage, t } from "./texts.js";

let names = [];

/**
 * Ask whether a photo may go to clouds.
 * @param {string[]} titles of the clouds
 * @param {boolean} [here] whether the answer may be "look here instead"
 * @returns {Promise<"yes"|"here"|"no">}
 */
export function mayLeave(titles, here = true) {
  names = titles;
  write();
  const dialog = $("consent");
  $("consent-here").hidden = !here;
  // Only a press of a button counts: closing in any other way, as with Escape, is a no.
  let reply = "no";
  const press = ({ submitter }) => (reply = submitter?.value ?? "no");
  dialog.addEventListener("submit", press);
  dialog.showModal();
  $(here ? "consent-here" : "consent-no").focus(); // Enter sends nothing
  return new Promise((resolve) => {
    const closed = () => {
      dialog.removeEventListener("submit", press);
      resolve(reply);
    };
    dialog.addEventListener("close", closed, { once: true });
  });
}

function write() {
  $("consent-text").textContent = t("consent.text", { names: list(names) });
}

export function start() {
  onLanguage(write);
}
