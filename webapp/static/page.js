// The page: starts every part and joins them.

import { backends as fetchBackends } from "./api.js";
import * as backends from "./backends.js";
import * as booth from "./booth.js";
import * as bubble from "./bubble.js";
import * as comparison from "./compare.js";
import * as consent from "./consent.js";
import { $, make } from "./dom.js";
import { showHint } from "./frame.js";
import * as offline from "./offline.js";
import * as session from "./session.js";
import * as shelly from "./shelly.js";
import { current, LANGUAGES, onLanguage, preferred, remember, speak, t } from "./texts.js";
import * as ways from "./ways.js";

function take(file) {
  booth.leave();
  session.take(file);
}

/** The buttons that switch the language. */
function languages() {
  for (const tag of LANGUAGES) {
    const name = new Intl.DisplayNames(tag, { type: "language" }).of(tag);
    const button = make("button", { type: "button", lang: tag, "aria-label": name }, tag);
    button.addEventListener("click", () => remember(tag));
    $("languages").append(button);
  }
  onLanguage(() => {
    for (const button of $("languages").children) {
      button.setAttribute("aria-pressed", button.lang === current());
    }
  });
}

let met = false; // whether the server has said who can answer

/** Ask the server who can answer; without a server, say so and wait. */
async function meet() {
  try {
    backends.offer(await fetchBackends(), session.changed);
    session.offerComparison();
    met = true;
  } catch (trouble) {
    session.fail(trouble);
    if (trouble.code === "unreachable") {
      offline.wait(() => {
        bubble.say(() => ({ say: t("awake") }));
        meet();
      });
    }
  }
}

languages();
for (const part of [backends, bubble, comparison, consent]) part.start();
session.start(() => met || meet());
ways.start(take, (trouble) => session.fail(trouble));
booth.start({
  take,
  fail: (trouble) => session.fail(trouble),
  clean: () => {
    session.forget();
    showHint();
  },
});
await speak(preferred());
bubble.say(() => ({ say: t("greeting") }));
shelly.start();
await meet();
offline.keep();
document.body.dataset.ready = "";
