// Measures as text: "77.2 % (73.1 to 80.8) of 456; pixelNeighbour 60.1 %".

import type { NamedResult } from "./evaluate.ts";
import type { Measure } from "./measure.ts";
import { percent } from "./suite.ts";
import { suites } from "./suites/all.ts";

export type Unit = "share" | "dB" | "count" | "ratio";

export function unitOf(suite: string, measure: string): Unit {
  return suites[suite]?.units?.[measure] ?? "share";
}

export function showNumber(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return "-";
  switch (unit) {
    case "share":
      return percent(value);
    case "dB":
      return `${value.toFixed(2)} dB`;
    case "count":
      return value.toFixed(1);
    case "ratio":
      return value.toFixed(3);
  }
}

export function showInterval({ low, high }: Measure, unit: Unit): string {
  const plain = (value: number) => showNumber(value, unit).replace(/ (%|dB)$/, "");
  return `${plain(low)} to ${plain(high)}`;
}

/** "originals" and "pixelNeighbour" as words. */
export function floorName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A table for a terminal: one line per measure and detail. */
export function showResults(results: readonly NamedResult[]): string {
  const lines: string[] = [];
  for (const { suite, measures, details, seconds } of results) {
    lines.push(`${suite}  (${seconds.toFixed(0)} s)`);
    for (const [name, measure] of Object.entries(measures)) {
      const unit = unitOf(suite, name);
      const floors = Object.entries(measure.floors).map(
        ([floor, value]) => `${floorName(floor)} ${showNumber(value, unit)}`,
      );
      const value = showNumber(measure.value, unit).padStart(9);
      const interval = `(${showInterval(measure, unit)}; n ${measure.n})`.padEnd(32);
      lines.push(`  ${name.padEnd(12)} ${value} ${interval} ${floors.join(", ")}`.trimEnd());
    }
    for (const { name, text } of details) lines.push(`    ${name}: ${text}`);
  }
  return `${lines.join("\n")}\n`;
}
