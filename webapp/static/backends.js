// Who answers: the switch between this machine and the clouds, and what it means for a photo.

import { $, make } from "./dom.js";
import { list, onLanguage, t } from "./texts.js";

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** @type {{name: string, title: string, local: boolean}[]} */
let known = [{ name: "local", title: "", local: true }];
let chosen = "local";
let lent = []; // titles of the clouds that the photo on the page was let go to

/** The backends there are, the local one first. */
export const all = () => known;
/** The one that the user chose. */
export const choice = () => find(chosen);
/** The backend of a name. */
export const find = (name) => known.find((backend) => backend.name === name) ?? known[0];

/** Whether a backend runs on the very machine that shows the page. */
export const onThisMachine = ({ local }) => local && LOOPBACK.includes(location.hostname);

/** What to call a backend. */
export function title(backend) {
  if (!backend.local) return backend.title;
  if (onThisMachine(backend)) return t("backend.local");
  return t("backend.host", { host: location.hostname });
}

/**
 * Offer the backends that the server has.
 * @param {{default: string, backends: {name: string, title: string, local: boolean}[]}} offers
 * @param {() => void} changed called when the user chooses another one
 */
export function offer(offers, changed) {
  known = offers.backends;
  chosen = offers.default;
  $("backends").hidden = known.length < 2;
  $("backend-list").replaceChildren(
    ...known.map((backend) => {
      const label = make("label");
      const radio = make("input", { type: "radio", name: "backend", value: backend.name });
      radio.checked = backend.name === chosen;
      radio.addEventListener("change", () => {
        chosen = backend.name;
        describe();
        changed();
      });
      label.append(radio, make("span", { "data-backend": backend.name }));
      return label;
    }),
  );
  describe();
}

/** Write names and the sentence about privacy. */
function describe() {
  for (const span of $("backend-list").querySelectorAll("[data-backend]")) {
    span.textContent = title(find(span.dataset.backend));
  }
  const host = location.hostname;
  if (lent.length) $("privacy").textContent = t("privacy.lent", { names: list(lent) });
  else if (!choice().local) $("privacy").textContent = t("privacy.cloud", { name: choice().title });
  else if (onThisMachine(choice())) $("privacy").textContent = t("privacy.local");
  else $("privacy").textContent = t("privacy.host", { host });
  $("privacy-line").classList.toggle("leaves", lent.length > 0 || !choice().local);
}

/** Say to which clouds the user has let the photo go: none for a new photo. */
export function lend(clouds) {
  lent = clouds.map((cloud) => cloud.title);
  describe();
}

export function start() {
  onLanguage(describe);
}
