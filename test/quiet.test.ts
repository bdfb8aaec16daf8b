// Nothing behind the user's back: the whole program in a bare place leaves no file but those that were asked for, and says nothing.

import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli, spawnCli } from "./run-cli.ts";

const image = fileURLToPath(new URL("../data/heldout/demo/octopus.png", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-quiet-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Case {
  readonly run: typeof runCli;
  readonly args: readonly string[];
}

/** What a bare environment does to the engine and to the program when they are loaded shows in processes of their own. */
const commands: Readonly<Record<string, Case>> = {
  describe: { run: spawnCli, args: ["describe", image] },
  imagine: { run: runCli, args: ["imagine", "a circle", "-o", "drawn.png", "--steps", "1"] },
  "tokenize on WebAssembly": { run: runCli, args: ["tokenize", image, "-o", "codes.json", "--device", "wasm"] },
  info: { run: runCli, args: ["info"] },
};

test.each(Object.entries(commands))("%s", async (_, { run, args }) => {
  const place = await mkdtemp(join(folder, "place-"));
  for (const inside of ["home", "cache", "data", "config", "tmp", "work"]) await mkdir(join(place, inside));
  await writeFile(join(place, "file"), "");
  const asked = args.includes("-o") ? [args[args.indexOf("-o") + 1]!] : [];
  const bare = { NODE_ENV: "", ORT_DISABLE_TELEMETRY: "", HF_HUB_OFFLINE: "1", HF_HOME: "" };
  const homes = {
    "empty folders": {
      HOME: join(place, "home"),
      XDG_CACHE_HOME: join(place, "cache"),
      XDG_DATA_HOME: join(place, "data"),
      XDG_CONFIG_HOME: join(place, "config"),
      TMPDIR: join(place, "tmp"),
    },
    "a home that cannot be made": { HOME: join(place, "file/home"), XDG_CACHE_HOME: "", TMPDIR: join(place, "tmp") },
  };
  for (const [what, env] of Object.entries(homes)) {
    const { status, err } = await run(args, { cwd: join(place, "work"), env: { ...bare, ...env } });
    expect([status, err], what).toEqual([0, ""]);
    const found = (await readdir(place, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    expect(found.map((entry) => entry.name).sort(), what).toEqual(["file", ...asked].sort());
  }
});
