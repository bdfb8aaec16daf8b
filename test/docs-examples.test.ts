// The examples of the documentation run as they stand. On a page each ```ts block that imports the library begins a program, and
// those after it go on with it. Browser code stands in blocks of other languages.

import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runPrograms } from "./run-programs.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const images = ["rocket", "octopus"];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-docs-"));
  await mkdir(join(folder, "node_modules"));
  await symlink(root, join(folder, "node_modules/kelix"));
  for (const name of ["sharp", "tsx"])
    await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  for (const name of images) await copyFile(join(root, `data/heldout/demo/${name}.png`), join(folder, `${name}.png`));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The programs of a page, each with the comments of its lines that say what is printed. */
async function programsOf(page: string): Promise<string[]> {
  const text = await readFile(join(root, page), "utf8");
  const programs: string[] = [];
  for (const [, block] of text.matchAll(/^```ts\n(.*?)^```$/gms)) {
    if (/from "kelix"/.test(block!)) programs.push(block!);
    else programs[programs.length - 1] += `\n${block}`;
  }
  return programs;
}

/** What `console.log` lines say that they print: `console.log(x); // this`. */
function promisedOutput(program: string): string[] {
  return [...program.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, said]) => said!);
}

test.each(["docs/api.md", "README.md"])("%s", async (page) => {
  const programs = await programsOf(page);
  expect(programs.length).toBeGreaterThan(0);
  const files = programs.map((_, i) => ({ file: join(folder, `program-${i}.ts`) }));
  await Promise.all(files.map(({ file }, i) => writeFile(file, programs[i]!)));
  const printed = await runPrograms(files, folder);
  for (const [i, program] of programs.entries())
    for (const said of promisedOutput(program)) expect(printed[i]).toContain(said);
});
