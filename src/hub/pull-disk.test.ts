// The disk misbehaves: no links, no room, nothing that may be written, damage.

import { appendFile, readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  expectNothingHalfWritten,
  expectSnapshot,
  modelFiles,
  repo,
  repoFolder,
  shard,
  useHub,
} from "../../test/hub-repository.ts";
import { sha256 } from "../../test/hub-server.ts";
import { FetchError } from "../errors.ts";
import { openHubModel, type PullResult, pullModel } from "./pull.ts";

/** Gives the code that the system refuses a call with, if it does. */
type Refuse = (call: "symlink" | "link" | "mkdir" | "open" | "write" | "rename", path: string) => string | undefined;
const disk = vi.hoisted(() => ({
  refuse: (() => undefined) as Refuse,
  check(call: Parameters<Refuse>[0], path: unknown) {
    const code = disk.refuse(call, String(path));
    if (code) throw Object.assign(new Error(`${code}: refused, ${call}`), { code, syscall: call, path });
  },
}));

vi.mock("../files/open-file.ts", async (importActual) => {
  const actual = await importActual<typeof import("../files/open-file.ts")>();
  const open = actual.OpenFile.open.bind(actual.OpenFile);
  actual.OpenFile.open = async (path, flags) => {
    if (typeof flags === "string" && flags !== "r") disk.check("open", path);
    const file = await open(path, flags);
    const write = file.write.bind(file);
    return Object.assign(file, {
      write: async (...args: Parameters<typeof write>) => {
        disk.check("write", path);
        return write(...args);
      },
    });
  };
  return actual;
});

vi.mock("node:fs/promises", async (importActual) => {
  const actual = await importActual<typeof import("node:fs/promises")>();
  const { check } = disk;
  return {
    ...actual,
    symlink: async (...args: Parameters<typeof actual.symlink>) => {
      check("symlink", args[1]);
      await actual.symlink(...args);
    },
    link: async (...args: Parameters<typeof actual.link>) => {
      check("link", args[1]);
      await actual.link(...args);
    },
    mkdir: async (...args: Parameters<typeof actual.mkdir>) => {
      check("mkdir", args[0]);
      return actual.mkdir(...args);
    },
    rename: async (...args: Parameters<typeof actual.rename>) => {
      check("rename", args[1]);
      await actual.rename(...args);
    },
  };
});
afterEach(() => {
  disk.refuse = () => undefined;
});

const hub = useHub();
const pull = () => pullModel(repo, { settings: hub.settings });
const open = () => openHubModel({ repo, revision: "main" }, { settings: hub.settings });
const failure = (work: Promise<unknown>): Promise<FetchError> =>
  work.then(
    () => expect.fail("it should have failed"),
    (error) => error,
  );
const inFolder = (...path: string[]) => join(repoFolder(hub.cacheFolder), ...path);
const blob = (name: string) => inFolder("blobs", sha256(modelFiles[name]!));
const asked = () => hub.server.count("file") + hub.server.count("store");

async function expectWhole({ path }: Pick<PullResult, "path">, files = modelFiles): Promise<void> {
  for (const [name, content] of Object.entries(files))
    expect((await readFile(join(path, name))).equals(content), name).toBe(true);
}

describe("a file system without links", () => {
  test.each(["ENOTSUP", "EPERM", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK", "EACCES", "EINVAL"])(
    "that says %s holds the files themselves, once",
    async (code) => {
      disk.refuse = (call) => (call === "symlink" || call === "link" ? code : undefined);
      const result = await pull();
      await expectWhole(result);
      expect(await readdir(inFolder("blobs"))).toEqual([]);
      hub.server.seen.length = 0;
      expect(await open()).toBe(result.path);
      expect((await pull()).fetchedBytes).toBe(0);
      expect(asked()).toBe(0);
    },
  );

  test("gets a copy for each file with the same content, and for each revision", async () => {
    disk.refuse = (call) => (call === "symlink" || call === "link" ? "ENOTSUP" : undefined);
    const same = modelFiles["dit/model.safetensors"]!;
    const files = { "config.json": Buffer.from("{}"), "a.safetensors": same, "b/c.safetensors": same };
    hub.server.options = { ...hub.server.options, files };
    const result = await pull();
    await expectWhole(result, files);
    // As if another commit had fetched it.
    const other = "f".repeat(40);
    const { rename } = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
    await rename(result.path, inFolder("snapshots", other));
    await rename(inFolder("kelix", `${result.commit}.json`), inFolder("kelix", `${other}.json`));
    hub.server.seen.length = 0;
    await expectWhole(await pull(), files);
    await expectWhole({ path: inFolder("snapshots", other) }, files);
    expect(asked()).toBe(0);
  });

  test("that allows hard links alone has those", async () => {
    disk.refuse = (call) => (call === "symlink" ? "EPERM" : undefined);
    const { path } = await pull();
    expect((await stat(join(path, shard))).ino).toBe((await stat(blob(shard))).ino);
    await expectWhole({ path });
  });
});

describe("a cache that cannot be written", () => {
  test.each(["EROFS", "EACCES", "EPERM", "ENOSPC"])("(%s) is used if all is there", async (code) => {
    await pull();
    await rm(join(hub.cacheFolder, ".locks"), { recursive: true });
    hub.server.seen.length = 0;
    disk.refuse = () => code;
    const result = await pull();
    expect(result.fetchedBytes).toBe(0);
    await expectWhole(result);
    expect(await open()).toBe(result.path);
    expect(asked()).toBe(0);
  });

  test("but for its locks is used if all is there, though its revision has moved on", async () => {
    await pull();
    await writeFile(inFolder("refs", "main"), "f".repeat(40));
    disk.refuse = (_, path) => (path.includes(".locks") ? undefined : "EACCES");
    await expectWhole(await pull());
  });

  test.each([
    ["EROFS", /the file system is read-only \(EROFS\)\. Set HF_HOME to a writable folder$/],
    ["ENOSPC", /the disk is full \(ENOSPC\)\. Make room .* or set HF_HOME to another folder$/],
  ])("(%s) and lacks something says what, how much, and the way out", async (code, way) => {
    await pull();
    await rm(blob(shard));
    disk.refuse = () => code;
    const { message } = await failure(pull());
    expect(message).toMatch(
      /^owner\/tiny is not complete in the cache at .*: model-00001-of-00002\.safetensors is missing/,
    );
    expect(message).toMatch(/300\.0 kB must be downloaded/);
    expect(message).toMatch(way);
  });

  test("and holds nothing is rejected before the Hub is asked", async () => {
    disk.refuse = () => "EACCES";
    const { message } = await failure(pull());
    expect(message).toMatch(/^owner\/tiny is not in the cache at .*\(EACCES\)\. Set HF_HOME to/);
    expect(hub.server.seen).toEqual([]);
  });

  test("below its folder of locks names the file", async () => {
    disk.refuse = (_, path) => (path.includes(".locks") ? undefined : "EROFS");
    const error = await failure(pull());
    expect(error).toBeInstanceOf(FetchError);
    expect(error.message).toMatch(
      /^owner\/tiny: .* could not be written at .*blobs: the file system is read-only \(EROFS\)/,
    );
  });
});

test("a disk that fills up keeps what has come, says what is missing, and goes on when there is room", async () => {
  let room = 150_000;
  hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 20_000, pauseMs: 5 } };
  disk.refuse = (call, path) => {
    if (call !== "write" || !path.includes(sha256(modelFiles[shard]!))) return undefined;
    room -= 20_000;
    return room < 0 ? "ENOSPC" : undefined;
  };
  const error = await failure(pull());
  expect(error).toBeInstanceOf(FetchError);
  expect(error.message).toMatch(
    /^owner\/tiny: model-00001-of-00002\.safetensors could not be written at .*blobs: the disk is full \(ENOSPC\), \d+\.\d kB are still missing\. Make room/,
  );
  const kept = await expectNothingHalfWritten(hub.cacheFolder);
  expect(Math.max(...kept)).toBeGreaterThan(0);
  disk.refuse = () => undefined;
  hub.server.seen.length = 0;
  await pull();
  expect(hub.server.seen.some(({ range }) => range !== undefined)).toBe(true);
  await expectSnapshot(hub.cacheFolder, modelFiles);
});

describe("what is damaged on the disk", () => {
  test("while it came is seen before it has a name, and fetched again", async () => {
    let isDone = false;
    disk.refuse = (call, path) => {
      // Another writer into the same file, just before it is complete.
      if (call === "write" && path.includes(sha256(modelFiles[shard]!)) && !isDone) {
        isDone = true;
        void appendFile(path, "of somebody else".repeat(20_000));
      }
      return undefined;
    };
    await pull();
    expect(hub.server.seen.filter(({ at, path }) => at === "store" && path === shard)).toHaveLength(2);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test.each([
    ["has lost its end", () => truncate(blob(shard), 1000)],
    ["is gone", () => rm(blob(shard))],
  ])("is not loaded where a file %s, but fetched again", async (_, damage) => {
    const path = await open();
    await damage();
    hub.server.seen.length = 0;
    expect(await open()).toBe(path);
    expect(hub.server.count("store")).toBe(1);
    await expectSnapshot(hub.cacheFolder, modelFiles);
  });

  test("is named offline", async () => {
    await pull();
    await truncate(blob(shard), 1000);
    const offline = { ...hub.settings, isOffline: true };
    await expect(pullModel(repo, { settings: offline })).rejects.toThrow(
      /not complete in the cache at .* \(model-00001-of-00002\.safetensors has 1000 of 300000 bytes\), and HF_HUB_OFFLINE/,
    );
  });

  test("with its size kept is found by a pull, also in what another program fetched", async () => {
    await pull();
    for (const forget of [async () => undefined, () => rm(inFolder("kelix"), { recursive: true })]) {
      const wrong = Buffer.from(modelFiles[shard]!);
      wrong[5]! ^= 1;
      await writeFile(blob(shard), wrong);
      await utimes(blob(shard), 1, 1);
      await forget();
      expect((await pull()).fetchedBytes).toBe(300_000);
      await expectSnapshot(hub.cacheFolder, modelFiles);
    }
  });
});

test("two pulls that both believe to have the lock leave nothing damaged", async () => {
  hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 30_000, pauseMs: 5 } };
  const first = pull().catch(() => undefined);
  const lock = join(hub.cacheFolder, ".locks", "models--owner--tiny", "kelix.lock");
  await vi.waitFor(async () => expect(hub.server.count("store")).toBeGreaterThan(0));
  await rm(lock);
  const second = pull().catch(() => undefined);
  await Promise.all([first, second]);
  await expectNothingHalfWritten(hub.cacheFolder);
  hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 1 << 20, pauseMs: 0 } };
  await pull();
  await expectSnapshot(hub.cacheFolder, modelFiles);
});
