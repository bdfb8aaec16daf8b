// What the user is told: one sentence on what is wrong and what to do next.

import { signal } from "@preact/signals";
import { BackendError } from "../backend/backend.ts";

/** The sentence that is shown, until it is closed or another comes. */
export const notice = signal<string | undefined>(undefined);
/** Told to screen readers only. */
export const announcement = signal("");

export function complain(error: unknown): void {
  if (isAbort(error)) return;
  notice.value = explain(error);
}

export function isAbort(error: unknown): boolean {
  return (error instanceof BackendError && error.code === "aborted") || (error as Error | null)?.name === "AbortError";
}

export function explain(error: unknown): string {
  const { name, message } = error as Error;
  if (name === "QuotaExceededError")
    return "The browser's storage for this page is full: export conversations and delete some, then try again.";
  if (error instanceof BackendError && error.code === "fetch_failed" && !navigator.onLine)
    return "You are offline and the model is not in this browser yet: connect once so that it can be fetched.";
  return message || String(error);
}

/** Sentences about what this page cannot do where it is. */
export function limitsHere(): string[] {
  if (isSecureContext) return [];
  return [
    "This address is not secure (plain http), so the browser gives no camera, no threads, no WebGPU and no offline use: open the page over https or on localhost. Everything else works.",
  ];
}
