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
  if (error instanceof BackendError && error.code === "device_unavailable")
    return unavailable.find(([words]) => words.test(message))?.[1] ?? message;
  if (error instanceof BackendError && error.code === "fetch_failed" && !navigator.onLine)
    return "You are offline and the model is not in this browser yet: connect once so that it can be fetched.";
  const [, address] = /^(https?:\S+): no answer/.exec(message) ?? [];
  if (address)
    return `${new URL(address).host} does not give the model's files: try again, or check the model's address in the settings.`;
  return message || String(error);
}

/** What the library says to programmers, for those who look at a page. */
const unavailable: readonly (readonly [words: RegExp, sentence: string])[] = [
  [/threads did not start/, "Threads did not start in this browser: set Threads to 1 in the settings."],
  [/could not be loaded/, "A part of the page could not be fetched: reload the page while you are online."],
  [/webgpu/, "This browser has no WebGPU here: choose “Automatic” or “WebAssembly” in the settings."],
];

/** Sentences about what this page cannot do where it is. */
export function limitsHere(): string[] {
  if (isSecureContext) return [];
  return [
    "This address is not secure (plain http), so the browser gives no camera, no threads, no WebGPU and no offline use: open the page over https or on localhost. Everything else works.",
  ];
}
