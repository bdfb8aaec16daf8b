import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

test("the built types serve a strict user, and need no newer TypeScript than 5.4", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kelix-types-"));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    skipLibCheck: false,
    noEmit: true,
    module: "NodeNext",
    target: "ES2022",
    lib: ["ES2023", "DOM", "DOM.Iterable"],
    types: ["node"],
    paths: { kelix: [join(root, "dist/index.d.ts")] },
  };
  await writeFile(join(folder, "consumer.ts"), await readFile(join(root, "test/types/consumer.ts")));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["consumer.ts"] }));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const compile = promisify(execFile)(process.execPath, [tsc, "-p", folder, "--listFiles"]);
  const { stdout } = await compile.catch((error: { stdout: string }) => error);
  await rm(folder, { recursive: true });
  expect(stdout).not.toMatch(/error TS/);
  // Typed arrays are generic from TypeScript 5.7 on.
  const reached = stdout.split("\n").filter((path) => path.startsWith(join(root, "dist")));
  expect(reached.length).toBeGreaterThan(5);
  for (const path of reached)
    expect(await readFile(path, "utf8"), relative(root, path)).not.toMatch(/(Int|Uint|Float|Clamped)\w*Array</);
});
