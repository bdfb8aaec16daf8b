// Light or dark: as the system says, until the user says otherwise.

import { computed, effect, signal } from "@preact/signals";
import { kept } from "./kept.ts";

const chosen = kept<"light" | "dark" | undefined>("theme", undefined);
const query = matchMedia("(prefers-color-scheme: dark)");
const system = signal(query.matches);

export const isDark = computed(() => (chosen.value ? chosen.value === "dark" : system.value));

export function followTheme(): void {
  query.addEventListener("change", () => {
    system.value = query.matches;
  });
  effect(() => {
    document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
  });
}

/** The other one; that of the system is followed again where it is the same. */
export function turnTheme(): void {
  const wanted = isDark.value ? "light" : "dark";
  chosen.value = (wanted === "dark") === system.value ? undefined : wanted;
}
