// Keeps the files of the page, and nothing else, so that it opens with the server down.
// Photos and answers never get here: only the addresses listed below are looked after.

const STORE = "shelly-page";
const MOODS = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"];
const MODULES = [
  ...["answer", "api", "backends", "booth", "bubble", "camera", "compare", "consent", "dom"],
  ...["faces", "frame", "lines", "live", "offline", "page", "picture", "scores", "session", "shelly"],
  ...["texts", "troubles", "ways", "texts/de", "texts/en"],
];
const SHELL = [
  "/",
  "/manifest.webmanifest",
  "/static/style.css",
  "/static/fonts/fredoka.woff2",
  ...MODULES.map((name) => `/static/${name}.js`),
  ...MOODS.map((mood) => `/static/shelly/${mood}.svg`),
];
/** A server that is up answers sooner, in milliseconds; a network that lost it may never. */
const PATIENCE_MS = 3000;

self.addEventListener("install", (event) => {
  const filled = caches.open(STORE).then((store) => store.addAll(SHELL));
  event.waitUntil(filled.then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) =>
  event.waitUntil(forgetOld().then(() => self.clients.claim())),
);

/** Drop the files of an older page that this one has no more. */
async function forgetOld() {
  const store = await caches.open(STORE);
  for (const request of await store.keys()) {
    if (!SHELL.includes(new URL(request.url).pathname)) await store.delete(request);
  }
}

self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== self.location.origin) return;
  if (SHELL.includes(pathname)) event.respondWith(freshOrKept(event.request, pathname));
});

/** The server's copy, so that updates arrive at once; the kept one if there is no server. */
async function freshOrKept(request, pathname) {
  const store = await caches.open(STORE);
  const limit = AbortSignal.timeout(PATIENCE_MS);
  try {
    const fresh = await fetch(request, { signal: limit });
    if (fresh.ok) await store.put(pathname, fresh.clone());
    return fresh;
  } catch (error) {
    const kept = await store.match(pathname);
    if (kept) return kept;
    throw error;
  }
}
