// kelix pull as a user meets it: the built program, against a server on this machine.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { listSnapshot } from "../src/hub/cache.ts";
import { Kelix, type Progress } from "../src/index.ts";
import { expectNothingHalfWritten, expectSnapshot, modelFiles, repo, repoFolder, useHub } from "./hub-repository.ts";
import { program, type RunResult, runCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

const hub = useHub();
const modelBytes = Object.values(modelFiles).reduce((sum, { length }) => sum + length, 0);

const environment = () => ({
  HF_TOKEN: "",
  HF_ENDPOINT: hub.server.endpoint,
  HF_HUB_CACHE: hub.cacheFolder,
  HF_HOME: "/nowhere",
});
const kelixWith = (env: Readonly<Record<string, string>>, ...args: string[]) =>
  runCli(args, { env: { ...environment(), ...env } });
const kelix = (...args: string[]) => kelixWith({}, ...args);

/** Starts a pull from a slow server and sends the signal when a good part of the model is there. */
async function interruptedBy(signal: NodeJS.Signals): Promise<Pick<RunResult, "status" | "err">> {
  hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 20_000, pauseMs: 20 } };
  const env = { ...process.env, ...environment() };
  const child = spawn(process.execPath, [program, "pull", repo], { env, stdio: ["ignore", "ignore", "pipe"] });
  let err = "";
  child.stderr.on("data", (text) => {
    err += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  while (child.exitCode === null && !(await sizesComing()).some((sizeBytes) => sizeBytes >= 60_000)) await sleep(5);
  child.kill(signal);
  const status = await ended;
  hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 1 << 20, pauseMs: 0 } };
  const coming = await expectNothingHalfWritten(hub.cacheFolder);
  expect(Math.max(...coming)).toBeGreaterThanOrEqual(60_000);
  await expect(stat(join(repoFolder(hub.cacheFolder), "refs", "main"))).rejects.toThrow("ENOENT");
  return { status, err };
}

async function sizesComing(): Promise<number[]> {
  const folder = join(repoFolder(hub.cacheFolder), "blobs");
  const names = await readdir(folder).catch(() => []);
  const sizes = names.map(async (name) => (name.endsWith(".incomplete") ? (await stat(join(folder, name))).size : 0));
  return Promise.all(sizes.map((size) => size.catch(() => 0)));
}

async function expectPullToComplete(): Promise<void> {
  const { status, out, err } = await kelix("pull", repo, "--json");
  expect(err).toBe("");
  expect(status).toBe(0);
  const { fetchedBytes, totalBytes } = JSON.parse(out);
  expect(totalBytes).toBe(modelBytes);
  expect(fetchedBytes).toBeLessThan(modelBytes - 60_000);
  await expectSnapshot(hub.cacheFolder, modelFiles);
}

test("prints the folder, what was fetched and what was left out, and nothing on a stderr that is no terminal", async () => {
  const { status, out, err } = await kelix("pull", repo);
  expect(err).toBe("");
  expect(status).toBe(0);
  const [path, sizes, leftOut] = out.split("\n");
  expect(path).toBe(join(repoFolder(hub.cacheFolder), "snapshots", hub.server.commit));
  expect(sizes).toBe("9 files, 509.1 kB, 509.1 kB of them downloaded now");
  expect(leftOut).toMatch(/README\.md, modeling_kelix\.py, pytorch_model\.bin, vae\/training\.pt/);
});

test("goes on after it was killed", async () => {
  expect((await interruptedBy("SIGKILL")).status).toBeNull();
  await expectPullToComplete();
});

test("ends with status 130 at Ctrl-C and goes on later", async () => {
  const { status, err } = await interruptedBy("SIGINT");
  expect(err).toBe("kelix: interrupted\n");
  expect(status).toBe(130);
  await expectPullToComplete();
});

test("ends with one line and status 1 when it fails", async () => {
  hub.server.options = { ...hub.server.options, token: "another" };
  const { status, out, err } = await kelixWith({ HF_TOKEN: "wrong" }, "pull", repo);
  expect(err).toMatch(/^kelix: owner\/tiny: there is no such repository at .*HF_TOKEN may read it\n$/);
  expect(status).toBe(1);
  expect(out).toBe("");
});

test("says why it waits, without a terminal too", async () => {
  let count = 0;
  const headers = { RateLimit: '"api";r=0;t=1' };
  hub.server.options = {
    ...hub.server.options,
    fault: ({ at }) => (at === "api" && count++ === 0 ? { status: 429, headers } : undefined),
  };
  const { status, err } = await kelix("pull", repo);
  expect(err).toMatch(/^kelix: waiting: owner\/tiny: 127\.0\.0\.1:\d+ answered with status 429: asked to wait 1 s\n$/);
  expect(status).toBe(0);
});

test("shows no secret of its environment, with its stack too", async () => {
  const runs: readonly Readonly<Record<string, string>>[] = [
    { HF_TOKEN: "hf_SECRET\nsecond line" },
    { HF_ENDPOINT: hub.server.endpoint.replace("//", "//user:SECRET@"), HF_TOKEN: "hf_SECRET" },
    { HF_ENDPOINT: "ftp://user:SECRET@h" },
  ];
  hub.server.options = { ...hub.server.options, fault: () => ({ status: 418 }) };
  for (const env of runs) {
    const { status, out, err } = await kelixWith(env, "pull", repo, "--verbose");
    expect(out + err).not.toMatch(/SECRET|second line/);
    expect(err).not.toBe("");
    expect(status).toBeGreaterThan(0);
  }
});

test("ends with status 2 for what is no repository's name", async () => {
  const { status, err } = await kelix("pull", "../tiny");
  expect(err).toMatch(/'\.\.\/tiny'.* Expected owner\/name or owner\/name@revision/);
  expect(status).toBe(2);
});

test("a model is loaded by its name on the Hub, fetched the first time and at hand afterwards", async () => {
  const folder = await writeTinyModel(await mkdtemp(join(tmpdir(), "kelix-tiny-")));
  const paths = (await listSnapshot(folder)).map(({ path }) => path);
  const contents = await Promise.all(paths.map(async (path) => [path, await readFile(join(folder, path))] as const));
  await rm(folder, { recursive: true });
  hub.server.options = { repo, files: Object.fromEntries(contents) };
  vi.stubEnv("HF_ENDPOINT", hub.server.endpoint);
  vi.stubEnv("HF_HUB_CACHE", hub.cacheFolder);
  try {
    const progress: Progress[] = [];
    const model = await Kelix.load(repo, { onProgress: (state) => progress.push(state) });
    expect(model.info()).toMatchObject({ codebooks: 8, layers: 2 });
    await model.dispose();
    const totalBytes = contents.reduce((sum, [, { length }]) => sum + length, 0);
    expect(progress).toContainEqual({ task: "fetch", done: 0, total: totalBytes });
    expect(progress).toContainEqual({ task: "fetch", done: totalBytes, total: totalBytes });
    expect(progress.at(-1)).toEqual({ task: "load", done: 1, total: 1 });

    hub.server.seen.length = 0;
    const { status, out } = await kelix("info", repo, "--json");
    expect(JSON.parse(out)).toMatchObject({ codebooks: 8, layers: 2 });
    expect(status).toBe(0);
    expect(hub.server.seen).toEqual([]);
  } finally {
    vi.unstubAllEnvs();
  }
});
