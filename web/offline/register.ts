// Puts the service worker in place, which makes the page work offline, and isolated on hosts that send no such headers.

import { effect } from "@preact/signals";
import { threads } from "../app/model.ts";
import { notice } from "../app/notices.ts";

export async function registerServiceWorker(): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // plain http: notices.ts says so
  try {
    const registration = await navigator.serviceWorker.register("./service-worker.js");
    followInstalling(registration);
  } catch {
    notice.value = "The page cannot be kept for offline use in this browser: allow it to store data, and reload.";
    return;
  }
  effect(() => void isolate(threads.value));
}

/** It keeps the page's files before it works, for which there may be no room. */
function followInstalling({ installing, active }: ServiceWorkerRegistration): void {
  installing?.addEventListener("statechange", () => {
    if (installing.state === "redundant" && !active)
      notice.value =
        "The page could not be kept for offline use, perhaps because the browser's storage is full: free some, and reload.";
  });
}

/** Threads need a page that the service worker has answered: it is loaded once more, and only once. */
async function isolate(wanted: number): Promise<void> {
  if (wanted === 1 || crossOriginIsolated || sessionStorage.getItem("kelix.reloaded")) return;
  await navigator.serviceWorker.ready;
  sessionStorage.setItem("kelix.reloaded", "1");
  // Whoever changes settings finishes first.
  const dialog = document.querySelector<HTMLDialogElement>("dialog[open]");
  if (dialog) await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  location.reload();
}
