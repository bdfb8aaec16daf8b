// npm run size: lines of code by group and folder, tests apart. Fails when a group has more than its number in docs/size.md.
// Blank lines and comments count.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";

interface Group {
  readonly name: string;
  /** Folders, files directly below `src/`, or one file. */
  readonly places: readonly string[];
  readonly limit: number;
}

const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" }).split("\n");
const code = [...new Set(listed)].filter((path) => /\.(ts|tsx|js|mjs)$/.test(path) && !isTest(path)).sort();
const groups = readGroups(readFileSync("docs/size.md", "utf8"));
const claimed = new Set<string>();
const faults: string[] = [];
for (const { name, places, limit } of groups) {
  const folders = places.map((place) => ({ place, paths: code.filter((path) => isIn(path, place)) }));
  const total = lines(folders.flatMap(({ paths }) => paths));
  console.log(`${name.padEnd(26)}${format(total)} of ${format(limit)}${total > limit ? "   TOO LARGE" : ""}`);
  for (const { place, paths } of folders) {
    if (paths.length === 0) faults.push(`${place}, of the group ${name}, holds no code`);
    for (const path of paths) claimed.add(path);
    const longest = paths.reduce((a, b) => (lines([b]) > lines([a]) ? b : a), paths[0]!);
    const detail = paths.length > 1 ? `   ${basename(longest)} (${lines([longest])})` : "";
    console.log(`  ${place.padEnd(24)}${format(lines(paths))}${detail}`);
  }
  if (total > limit) faults.push(`${name} has ${total} lines, at most ${limit} are agreed in docs/size.md`);
}
for (const path of code)
  if (/^(src|tools|scripts|web)\//.test(path) && !claimed.has(path)) faults.push(`${path} is in no group`);
if (faults.length > 0) {
  console.error(
    `\n${faults.join("\n")}\nMake something smaller, or change the number in docs/size.md and say why there.`,
  );
  process.exitCode = 1;
}

/** The rows of the table in docs/size.md: | name | `place` `place` | limit | .. */
function readGroups(page: string): Group[] {
  return [...page.matchAll(/^\| ([^|]+) \| ([^|]*`[^|]*) \| ([\d,]+) \|/gm)].map(([, name, places, limit]) => ({
    name: name!.trim(),
    places: [...places!.matchAll(/`([^`]+)`/g)].map(([, place]) => place!),
    limit: Number(limit!.replaceAll(",", "")),
  }));
}

function isIn(path: string, place: string): boolean {
  if (place === "src/*.ts") return /^src\/[^/]+$/.test(path);
  return place.endsWith("/") ? path.startsWith(place) : path === place;
}

function isTest(path: string): boolean {
  return path.startsWith("test/") || /\.test\.\w+$/.test(path);
}

function lines(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + readFileSync(path, "utf8").split("\n").length - 1, 0);
}

function format(count: number): string {
  return count.toLocaleString("en").padStart(7);
}
