// npm run size: lines of code by folder, tests apart, with the longest file of each. Blank lines and comments count.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, sep } from "node:path";

interface Size {
  files: number;
  lines: number;
  testLines: number;
  longest: { path: string; lines: number };
}

const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", "*.ts", "*.tsx", "*.mjs"], {
  encoding: "utf8",
});
const sizes = new Map<string, Size>();
for (const path of [...new Set(listed.split("\n").filter(Boolean))].sort()) {
  const lines = readFileSync(path, "utf8").split("\n").length - 1;
  const size = sizes.get(folderOf(path)) ?? { files: 0, lines: 0, testLines: 0, longest: { path: "", lines: 0 } };
  sizes.set(folderOf(path), size);
  if (path.startsWith("test/") || path.endsWith(".test.ts")) {
    size.testLines += lines;
    continue;
  }
  size.files++;
  size.lines += lines;
  if (lines > size.longest.lines) size.longest = { path, lines };
}

const total = (key: "files" | "lines" | "testLines") => [...sizes.values()].reduce((sum, size) => sum + size[key], 0);
print("folder", "files", "lines", "tests", "longest file");
for (const [folder, { files, lines, testLines, longest }] of sizes) {
  print(
    folder,
    files,
    lines,
    testLines,
    longest.lines ? `${longest.path.slice(folder.length + 1)} (${longest.lines})` : "",
  );
}
print("all", total("files"), total("lines"), total("testLines"), "");

/** src/llm for src/llm/decoder.ts, src for src/kelix.ts, src/train for everything below it; else the first folder. */
function folderOf(path: string): string {
  const parts = dirname(path).split(sep);
  return parts[0] === "src" ? parts.slice(0, 2).join("/") : parts[0]!;
}

function print(
  folder: string,
  files: number | string,
  lines: number | string,
  tests: number | string,
  longest: string,
): void {
  const numbers = [files, lines, tests].map((value) => String(value).padStart(7)).join("");
  console.log(`${folder.padEnd(18)}${numbers}   ${longest}`.trimEnd());
}
