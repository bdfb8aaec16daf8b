// Keeps the page for offline use, and adds the headers that isolate it, which threads need. The model's weights are kept by the library itself;
// here only its list of files and small configs are, for when the network is away.

/** Written by the build: the page's files, and a name that changes with any of them. */
const FILES = [];
const VERSION = "development";

const SHELL = `kelix-page-${VERSION}`;
const LISTS = "kelix-lists";

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(SHELL);
      await Promise.all(FILES.map((file) => keep(cache, file)));
      // On the first visit the worker asks for these before this one is in place; another model's are kept from the second visit on.
      const lists = await caches.open(LISTS);
      await lists.addAll(["./kelix-nano/files.json", "./kelix-nano/generation_config.json"]).catch(() => undefined);
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const old = (await caches.keys()).filter((name) => name.startsWith("kelix-page-") && name !== SHELL);
      await Promise.all(old.map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  const scope = new URL(self.registration.scope).pathname;
  const path = url.pathname.startsWith(scope) ? url.pathname.slice(scope.length) : undefined;
  if (path === undefined || path.startsWith("v1/")) return; // a server's answers
  if (path === "" || FILES.includes(`./${path}`))
    event.respondWith(fromShell(path === "" ? "./index.html" : `./${path}`, request));
  else if (/(^|\/)(files|generation_config)\.json$/.test(path)) event.respondWith(fromNetwork(request));
});

/**
 * Kept as it will be answered. A browser keeps compiled code beside a response in Cache Storage, and takes it from there when that very
 * response is the answer: a copy with other headers would be compiled on each visit.
 */
async function keep(cache, file) {
  const response = await fetch(new Request(file, { cache: "no-cache" }));
  if (!response.ok) throw new Error(`${file} was answered with status ${response.status}`);
  await cache.put(file, isolated(response));
}

/** What was kept with this version; the network where the browser has thrown it away. */
async function fromShell(file, request) {
  return (await (await caches.open(SHELL)).match(file)) ?? isolated(await fetch(request));
}

/** What the network says now, and what it said last where there is none. */
async function fromNetwork(request) {
  const cache = await caches.open(LISTS);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone()).catch(() => undefined); // full: it is fetched again
    return isolated(response);
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return isolated(kept);
    throw error;
  }
}

function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
