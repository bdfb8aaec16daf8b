// What the tests of the Hub share: a repository of some hundred kilobytes, a server of it with a cache of its own for each test,
// and a look at that cache for anything that is not whole.

import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import type { HubSettings } from "../src/hub/settings.ts";
import { counterRandom } from "../src/random/counter.ts";
import { HubServer } from "./hub-server.ts";

export const repo = "owner/tiny";

/** The model's files by path; the two shards are the large ones. */
export const modelFiles: Readonly<Record<string, Buffer>> = {
  "config.json": Buffer.from('{ "__class__": "KeyeARConfig" }'),
  "model.safetensors.index.json": Buffer.from(
    JSON.stringify({
      weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
    }),
  ),
  "model-00001-of-00002.safetensors": randomBytes(300_000, "first"),
  "model-00002-of-00002.safetensors": randomBytes(200_001, "second"),
  "tokenizer.json": Buffer.from("{}"),
  "chat_template.jinja": Buffer.from("hello world\n"),
  "dit/config.json": Buffer.from('{ "__class__": "SanaConfig" }'),
  "dit/model.safetensors": randomBytes(4974, "dit"),
  "vae/diffusion_pytorch_model.safetensors": randomBytes(4000, "vae"),
};

/** What a model's repository holds besides. */
export const otherFiles: Readonly<Record<string, Buffer>> = {
  "README.md": Buffer.from("# Tiny"),
  "modeling_kelix.py": Buffer.from("import torch"),
  "pytorch_model.bin": randomBytes(2000, "pickle"),
  "vae/training.pt": Buffer.from("pickle"),
};

export const shard = "model-00001-of-00002.safetensors";

export function randomBytes(count: number, stream: string): Buffer {
  const random = counterRandom(1, stream);
  return Buffer.from(Array.from({ length: count }, (_, i) => random.uint32(i) & 255));
}

export interface TestHub {
  readonly server: HubServer;
  readonly cacheFolder: string;
  /** Of a client that tries again at once. */
  readonly settings: HubSettings;
}

/** Starts a server of the model with an empty cache before each test of the file; what it gives is filled in by then. */
export function useHub(): TestHub {
  const hub = {} as { -readonly [K in keyof TestHub]: TestHub[K] };
  beforeEach(async () => {
    hub.server = await HubServer.start({ repo, files: { ...modelFiles, ...otherFiles } });
    hub.cacheFolder = await mkdtemp(join(tmpdir(), "kelix-hub-"));
    const { endpoint } = hub.server;
    hub.settings = { endpoint, cacheFolder: hub.cacheFolder, isOffline: false, stallMs: 30_000, backoffMs: 1 };
  });
  afterEach(async () => {
    await hub.server.stop();
    await rm(hub.cacheFolder, { recursive: true });
  });
  return hub;
}

/** The folder of the repository in a cache. */
export function repoFolder(cacheFolder: string): string {
  return join(cacheFolder, "models--owner--tiny");
}

/** Every blob with a final name is what its name says; gives the sizes of those that are still coming. */
export async function expectNothingHalfWritten(cacheFolder: string): Promise<number[]> {
  const folder = join(repoFolder(cacheFolder), "blobs");
  const coming: number[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const bytes = await readFile(join(folder, name));
    if (name.endsWith(".incomplete")) coming.push(bytes.length);
    else expect(hashLike(name, bytes), name).toBe(name);
  }
  return coming;
}

/** The snapshot has exactly these files, each whole and a link to a blob; nothing is left of their coming, and the ref leads to them. */
export async function expectSnapshot(cacheFolder: string, files: Readonly<Record<string, Buffer>>): Promise<void> {
  expect(await expectNothingHalfWritten(cacheFolder)).toEqual([]);
  const commit = await readFile(join(repoFolder(cacheFolder), "refs", "main"), "utf8");
  const snapshot = join(repoFolder(cacheFolder), "snapshots", commit);
  const entries = await readdir(snapshot, { recursive: true, withFileTypes: true });
  const links = entries.filter((entry) => entry.isSymbolicLink());
  expect(links).toHaveLength(Object.keys(files).length);
  for (const [path, content] of Object.entries(files)) {
    expect((await readFile(join(snapshot, path))).equals(content), path).toBe(true);
  }
  expect(await readdir(join(cacheFolder, ".locks", basename(repoFolder(cacheFolder))))).toEqual([]);
}

/** The hash of bytes of the kind that a blob's name is: SHA-256 or git's. */
function hashLike(name: string, bytes: Buffer): string {
  if (name.length === 64) return createHash("sha256").update(bytes).digest("hex");
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
