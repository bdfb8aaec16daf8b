// What a start of the program costs and needs.

import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { spawnCli } from "./run-cli.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const image = join(root, "data/heldout/demo/octopus.png");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-start-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Paths of the modules that a run loads. */
async function modulesOf(...args: string[]): Promise<string[]> {
  const coverage = await mkdtemp(join(folder, "coverage-"));
  await spawnCli(args, { env: { NODE_V8_COVERAGE: coverage } });
  const [report] = await readdir(coverage);
  const { result } = JSON.parse(await readFile(join(coverage, report!), "utf8")) as { result: { url: string }[] };
  return result.map(({ url }) => url).filter((url) => url.startsWith("file:"));
}

describe("kelix --version and --help", () => {
  test.each(["--version", "--help", "-v", "-V"])(
    "%s loads a handful of modules: no model code, no libraries",
    async (flag) => {
      const modules = await modulesOf(flag);
      expect(modules).toContainEqual(expect.stringContaining("cli/main.js"));
      const libraries = modules.map((url) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]).filter(Boolean);
      expect(new Set(libraries)).toEqual(new Set(["commander"]));
      expect(modules.length).toBeLessThan(20);
    },
  );

  test("take little more CPU than Node itself", async () => {
    const shell = 'TIMEFORMAT="%U %S"; time "$@"';
    const least = async (script: string) => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 3; i++) {
        const { err } = await spawnCli(["--version"], { shell: script });
        const [user, system] = err.trim().split(" ").map(Number);
        best = Math.min(best, user! + system!);
      }
      return best;
    };
    expect(await least(shell)).toBeLessThan(3 * (await least(shell.replace('"$@"', '"$1" -e 0'))));
  });
});

test("commands work with 64 file descriptors", async () => {
  const shell = 'ulimit -n 64; exec "$@"';
  for (const args of [
    ["describe", "--help"],
    ["describe", image, "--threads", "1"],
  ]) {
    const { status, out, err } = await spawnCli(args, { shell });
    expect([status, err], args.join(" ")).toEqual([0, ""]);
    expect(out).not.toBe("");
  }
});

test("without its optional libraries the program starts, and says in a sentence what it cannot do", async () => {
  // As npm leaves it with --omit=optional: sharp without its library for any system, no native ONNX Runtime.
  const installed = join(folder, "installed");
  await mkdir(join(installed, "node_modules/@img"), { recursive: true });
  for (const name of ["package.json", "models", "data"]) await symlink(join(root, name), join(installed, name));
  await cp(join(root, "dist"), join(installed, "dist"), { recursive: true });
  const modules = join(root, "node_modules");
  for (const name of await readdir(modules)) {
    if (["@img", "sharp", "onnxruntime-node"].includes(name)) continue;
    await symlink(join(modules, name), join(installed, "node_modules", name));
  }
  await cp(join(modules, "sharp"), join(installed, "node_modules/sharp"), { recursive: true });
  await symlink(join(modules, "@img/colour"), join(installed, "node_modules/@img/colour"));
  const run = (...args: string[]) => spawnCli(args, { program: join(installed, "dist/cli/main.js") });
  expect(await run("--version")).toMatchObject({ status: 0, err: "" });
  expect(await run("info")).toMatchObject({ status: 0, err: "" });
  const { status, out, err } = await run("describe", image);
  expect([status, out]).toEqual([1, ""]);
  expect(err).toMatch(/^kelix: Images cannot be read or written: sharp is not installed for this system\. .*\n$/);
});
