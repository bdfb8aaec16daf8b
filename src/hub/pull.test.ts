import { appendFile, mkdir, readdir, readFile, readlink, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  expectNothingHalfWritten,
  expectSnapshot,
  modelFiles,
  otherFiles,
  repo,
  repoFolder,
  shard,
  useHub,
} from "../../test/hub-repository.ts";
import { sha256 } from "../../test/hub-server.ts";
import { FetchError } from "../errors.ts";
import type { PullOptions } from "../options.ts";
import { listSnapshot } from "./cache.ts";

import { openHubModel, pullModel } from "./pull.ts";

const hub = useHub();
const pull = (options: PullOptions = {}) => pullModel(repo, { settings: hub.settings, ...options });
const modelBytes = Object.values(modelFiles).reduce((sum, { length }) => sum + length, 0);
const inFolder = (...path: string[]) => join(repoFolder(hub.cacheFolder), ...path);

describe("a pull", () => {
  test("fetches what a model needs and nothing else, and says so", async () => {
    const result = await pull();
    await expectSnapshot(hub.cacheFolder, modelFiles);
    expect(result).toMatchObject({
      repo,
      revision: "main",
      commit: hub.server.commit,
      path: inFolder("snapshots", hub.server.commit),
      totalBytes: modelBytes,
      fetchedBytes: modelBytes,
    });
    expect(result.files.map(({ path }) => path).sort()).toEqual(Object.keys(modelFiles).sort());
    expect(result.leftOut.map(({ path }) => path).sort()).toEqual(Object.keys(otherFiles).sort());
  });

  test("names blobs and links as the Python library does", async () => {
    const { path } = await pull();
    // git hash-object of "hello world\n"
    expect(await readlink(join(path, "chat_template.jinja"))).toBe(
      "../../blobs/3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
    );
    const large = sha256(modelFiles["dit/model.safetensors"]!);
    expect(await readlink(join(path, "dit/model.safetensors"))).toBe(`../../../blobs/${large}`);
    expect(await readFile(inFolder("refs", "main"), "utf8")).toBe(hub.server.commit);
  });

  test("asks for no file's content when all are there", async () => {
    await pull();
    hub.server.seen.length = 0;
    const again = await pull();
    expect(again.fetchedBytes).toBe(0);
    expect(hub.server.count("file") + hub.server.count("store")).toBe(0);
    expect(hub.server.count("api")).toBeGreaterThan(0);
  });

  test("takes files that another revision has", async () => {
    await pull();
    await rm(inFolder("snapshots"), { recursive: true });
    hub.server.seen.length = 0;
    expect((await pull({ revision: "v1" })).fetchedBytes).toBe(0);
    await expectSnapshot(hub.cacheFolder, modelFiles);
    expect(await readFile(inFolder("refs", "v1"), "utf8")).toBe(hub.server.commit);
  });

  test("reads the revision from the name, and notes none for a commit", async () => {
    const { commit } = hub.server;
    expect((await pullModel(`${repo}@${commit}`, { settings: hub.settings })).revision).toBe(commit);
    await expect(readdir(inFolder("refs"))).rejects.toThrow("ENOENT");
  });

  test("fetches what patterns name", async () => {
    const result = await pull({ include: ["vae/*", "README.md"] });
    expect(result.files.map(({ path }) => path)).toEqual([
      "vae/diffusion_pytorch_model.safetensors",
      "README.md",
      "vae/training.pt",
    ]);
    await expect(pull({ include: ["*.gguf"] })).rejects.toThrow("owner/tiny: none of its 13 files matches *.gguf");
  });

  test("fetches one content once, however many files have it", async () => {
    const same = modelFiles["dit/model.safetensors"]!;
    const files = { "config.json": Buffer.from("{}"), "a.safetensors": same, "b/c.safetensors": same };
    hub.server.options = { ...hub.server.options, files };
    expect((await pull()).fetchedBytes).toBe(2 + same.length);
    expect(hub.server.count("store")).toBe(1);
    await expectSnapshot(hub.cacheFolder, files);
  });

  test("tells of every byte, and of those that were there", async () => {
    const seen: number[] = [];
    await pull({ include: ["dit/*"] });
    await pull({
      onProgress: ({ doneBytes, totalBytes }) => {
        expect(totalBytes).toBe(modelBytes);
        seen.push(doneBytes);
      },
    });
    expect(seen[0]).toBe(modelFiles["dit/config.json"]!.length + modelFiles["dit/model.safetensors"]!.length);
    expect(seen.at(-1)).toBe(modelBytes);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  test("stops at a signal with nothing half-written, and goes on from there", async () => {
    hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 20_000, pauseMs: 5 } };
    const controller = new AbortController();
    const reason = new Error("that is enough");
    const onProgress = ({ doneBytes }: { doneBytes: number }) => {
      if (doneBytes > modelBytes / 2) controller.abort(reason);
    };
    await expect(pull({ signal: controller.signal, onProgress })).rejects.toBe(reason);
    const coming = await expectNothingHalfWritten(hub.cacheFolder);
    expect(Math.max(...coming)).toBeGreaterThan(0);
    await expect(stat(inFolder("refs", "main"))).rejects.toThrow("ENOENT");
    expect((await pull()).fetchedBytes).toBeLessThan(modelBytes / 2);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("waits for another of the same repository and then finds all there", async () => {
    hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 50_000, pauseMs: 5 } };
    let waited = 0;
    const onWait = () => {
      waited++;
    };
    const results = await Promise.all([pull({ onWait }), pull({ onWait })]);
    expect(results.map(({ fetchedBytes }) => fetchedBytes).sort()).toEqual([0, modelBytes]);
    expect(waited).toBe(1);
  });

  test("replaces a blob that has lost its end", async () => {
    await pull();
    await truncate(inFolder("blobs", sha256(modelFiles[shard]!)), 1000);
    expect((await pull()).fetchedBytes).toBe(300_000);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("throws away a part that is damaged or too long", async () => {
    await mkdir(inFolder("blobs"), { recursive: true });
    await writeFile(inFolder("blobs", `${sha256(modelFiles[shard]!)}.incomplete`), Buffer.alloc(1000));
    await writeFile(
      inFolder("blobs", `${sha256(modelFiles["dit/model.safetensors"]!)}.incomplete`),
      Buffer.alloc(50_000),
    );
    await pull();
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });
});

describe("before anything is fetched, a pull", () => {
  test("rejects what the disk has no room for", async () => {
    const entries = [
      {
        type: "file",
        path: "model.safetensors",
        size: 134,
        oid: "0".repeat(40),
        lfs: { oid: "0".repeat(64), size: 4e15 },
      },
    ];
    hub.server.options = { ...hub.server.options, entries };
    await expect(pull()).rejects.toThrow(/owner\/tiny needs 4\.0 PB more at .*blobs, where [\d.]+ [GT]B are free/);
    expect(hub.server.count("file")).toBe(0);
  });

  test.each([
    "../../../config.json",
    "vae/../../config.json",
    "/etc/config.json",
    "C:\\config.json",
    "vae\\..\\config.json",
    "vae//config.json",
    "./config.json",
    "dit\u0000/config.json",
    `${"a".repeat(300)}.json`,
  ])("rejects a repository with a file named %j", async (path) => {
    const entries = [{ type: "file", path, size: 2, oid: "0".repeat(40) }];
    hub.server.options = { ...hub.server.options, entries };
    await expect(pull()).rejects.toThrow("leads out of the folder");
    expect(hub.server.count("file")).toBe(0);
    await expect(stat(repoFolder(hub.cacheFolder))).rejects.toThrow("ENOENT");
  });

  test.each([
    [{ type: "file", path: "config.json", size: -1, oid: "0".repeat(40) }, "malformed entry"],
    [{ type: "file", path: "config.json", size: 2, oid: "../../x" }, "no hash to check it by"],
    [{ type: "file", path: "config.json", size: 2, oid: "0".repeat(40), lfs: { oid: "x", size: 2 } }, "no hash"],
    [{ type: "file", size: 2 }, "malformed entry"],
  ])("rejects the entry %j", async (entry, message) => {
    hub.server.options = { ...hub.server.options, entries: [entry] };
    await expect(pull()).rejects.toThrow(message);
  });

  test("rejects a listing without end", async () => {
    hub.server.options = {
      ...hub.server.options,
      nextPage: `${hub.server.endpoint}/api/models/${repo}/tree/${hub.server.commit}?cursor=0`,
    };
    await expect(pull()).rejects.toThrow("owner/tiny: the listing has more than");
  });

  test.each([
    "tiny",
    "owner/tiny/x",
    "../tiny",
    "owner/..",
    "owner--x/tiny",
    "owner/tiny@../x",
    "owner/tiny@",
    "https://x/y",
  ])("rejects the name %s", async (name) => {
    await expect(pullModel(name, { settings: hub.settings })).rejects.toThrow("Expected a repository of the Hub");
  });
});

describe("offline", () => {
  const offline = () => ({ ...hub.settings, isOffline: true });

  test("a pull finds what is there, without the network", async () => {
    const { path } = await pull();
    await hub.server.stop();
    const result = await pull({ settings: offline() });
    expect(result).toMatchObject({ path, commit: hub.server.commit, fetchedBytes: 0, totalBytes: modelBytes });
  });

  test("it says how to get what is not there, or not complete", async () => {
    await expect(pull({ settings: offline() })).rejects.toThrow(
      /owner\/tiny is not in the cache .* With a network: kelix pull owner\/tiny/,
    );
    await pull({ include: ["*.json"] });
    await expect(pull({ settings: offline() })).rejects.toThrow(/owner\/tiny is not complete in the cache/);
    expect(hub.server.seen.length).toBeGreaterThan(0);
  });
});

describe("opening a model by its name", () => {
  const open = () => openHubModel({ repo, revision: "main" }, { settings: hub.settings });

  test("fetches it the first time and asks nobody afterwards", async () => {
    const path = await open();
    hub.server.seen.length = 0;
    expect(await open()).toBe(path);
    expect(hub.server.seen).toEqual([]);
  });

  test("finds what the Python library left, and completes what it left undone", async () => {
    const path = await open();
    // As Python writes a ref by hand and after some versions: with a line's end.
    await appendFile(inFolder("refs", "main"), "\n");
    hub.server.seen.length = 0;
    expect(await open()).toBe(path);
    expect(hub.server.seen).toEqual([]);
    await rm(join(path, shard));
    await rm(inFolder("blobs", sha256(modelFiles[shard]!)));
    expect(await open()).toBe(path);
    expect(hub.server.count("store")).toBe(1);
  });

  test("completes a fetch that left out the weights of a part", async () => {
    await pull({ include: ["*.json", "*.jinja", "model-*"] });
    hub.server.seen.length = 0;
    const path = await open();
    expect(hub.server.seen).not.toEqual([]);
    expect((await listSnapshot(path)).map((file) => file.path)).toContain("dit/model.safetensors");
  });

  test("is a FetchError when it fails", async () => {
    await hub.server.stop();
    await expect(open()).rejects.toThrow(FetchError);
  });
});
