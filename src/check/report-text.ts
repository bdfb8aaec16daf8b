// A report as text to paste into an issue: one fact per line, inside a code fence.

import type { CheckedTask, CheckReport } from "./check.ts";
import type { CodesPrint, PixelsPrint } from "./fingerprint.ts";

const FIRST_COLUMN = 14;

/** Characters of a hash that are shown; --json has them all. */
const SHOWN_HASH = 16;

export function reportText({
  environment,
  model,
  info,
  warnings,
  tasks,
  peakMemoryBytes,
  hasFailed,
}: CheckReport): string {
  const rows: [string, string][] = [
    ["kelix", `${environment.kelix}, Node ${environment.node}, ${environment.engine}`],
    ["system", environment.system],
    ["processor", `${environment.processor}, ${environment.cores} cores`],
    ["memory", `${gigabytes(environment.memoryBytes)}, ${gigabytes(environment.availableBytes)} free`],
    ["model", model],
    ...(info?.parts ?? []).map(({ part, parameters, precisions }): [string, string] => [
      `  ${part}`,
      `${(parameters / 1e6).toFixed(2)} M, ${precisions.map(({ precision }) => precision).join(", ") || "no weights"}`,
    ]),
    ...(info
      ? ([
          ["codes", `${info.codebooks} codebooks of ${info.codesPerBook}, text vocabulary ${info.vocabulary}`],
        ] as const)
      : []
    ).map(([name, value]): [string, string] => [name, value]),
    ...warnings.map((warning): [string, string] => ["warning", warning]),
    ...tasks.flatMap(describeTask),
    ["peak memory", gigabytes(peakMemoryBytes)],
    ["result", hasFailed ? "FAILED" : "ok"],
  ];
  return [
    "```",
    "kelix check",
    ...rows.map(([name, value]) => `${name.padEnd(FIRST_COLUMN)} ${value}`),
    "```",
    "",
  ].join("\n");
}

function describeTask({ task, status, seconds, results, error }: CheckedTask): [string, string][] {
  if (status === "skipped") return [[task, "skipped"]];
  const time = `${seconds.toFixed(2)} s`;
  if (error) return [[task, `${status === "missing" ? "not there" : "FAILED"} after ${time}: ${error.message}`]];
  const words = Object.entries(results).map(([name, value]) => `${name} ${describeValue(name, value)}`);
  return [[task, [time, ...words].join(", ")]];
}

function describeValue(name: string, value: unknown): string {
  if (name === "codes") {
    const { grid, sha256, first } = value as CodesPrint;
    return `${grid[0]} x ${grid[1]}, sha256 ${sha256.slice(0, SHOWN_HASH)}, first ${first.join(" ")}`;
  }
  if (name === "pixels") {
    const { width, height, sha256, mean, deviation } = value as PixelsPrint;
    return `${width} x ${height}, sha256 ${sha256.slice(0, SHOWN_HASH)}, mean ${mean.join(" ")}, deviation ${deviation.join(" ")}`;
  }
  return JSON.stringify(value);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 1)} GB`;
}
