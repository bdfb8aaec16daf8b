// Signals that outlive the page: their values stand in localStorage.

import { effect, type Signal, signal } from "@preact/signals";

/** A signal whose value is read from storage and written there; `initial` where there is none or it cannot be read. */
export function kept<T>(name: string, initial: T): Signal<T> {
  const key = `kelix.${name}`;
  const own = signal(read(key, initial));
  effect(() => {
    const text = JSON.stringify(own.value ?? null);
    try {
      localStorage.setItem(key, text);
    } catch {
      // Full or not allowed: the value lasts as long as the page.
    }
  });
  return own;
}

function read<T>(key: string, initial: T): T {
  try {
    const text = localStorage.getItem(key);
    return text === null ? initial : ((JSON.parse(text) ?? initial) as T);
  } catch {
    return initial;
  }
}
