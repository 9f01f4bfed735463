// The page without its server: it opens from the browser's store, says so, and waits.

import { awake } from "./api.js";
import { sleep } from "./shelly.js";

/** Between two knocks at the server's door, in milliseconds. */
const KNOCK_MS = 3000;

let timer = 0;

/** Keep the page's files for a day when the server is down. */
export function keep() {
  navigator.serviceWorker?.register("sw.js").catch(() => {
    // Private windows and plain http from another machine have no such store.
  });
}

/**
 * Wait for the server.
 * @param {() => void} back called once, when it answers again
 */
export function wait(back) {
  sleep(true);
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (!(await awake())) return wait(back);
    stopWaiting();
    back();
  }, KNOCK_MS);
}

/** Wait no more, as when the user asks again. */
export function stopWaiting() {
  clearTimeout(timer);
  sleep(false);
}
