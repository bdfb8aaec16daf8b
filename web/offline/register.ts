// Puts the service worker in place, which makes the page work offline, and isolated on hosts that send no such headers.

import { effect } from "@preact/signals";
import { threads } from "../app/model.ts";
import { notice } from "../app/notices.ts";

export async function registerServiceWorker(): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // plain http: notices.ts says so
  try {
    await navigator.serviceWorker.register("./service-worker.js");
  } catch {
    notice.value = "The page cannot be kept for offline use in this browser: allow it to store data, and reload.";
    return;
  }
  effect(() => void isolate(threads.value));
}

/** Threads need a page that the service worker has answered: it is loaded once more, and only once. */
async function isolate(wanted: number): Promise<void> {
  if (wanted === 1 || crossOriginIsolated || sessionStorage.getItem("kelix.reloaded")) return;
  await navigator.serviceWorker.ready;
  sessionStorage.setItem("kelix.reloaded", "1");
  location.reload();
}
