import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { identifyProcess } from "../output/process-identity.ts";
import { tryLock, waitForLock } from "./file-lock.ts";

const noLinks = vi.hoisted(() => ({ code: "" }));
vi.mock("node:fs/promises", async (importActual) => {
  const actual = await importActual<typeof import("node:fs/promises")>();
  const link: typeof actual.link = async (from, to) => {
    if (noLinks.code) throw Object.assign(new Error(noLinks.code), { code: noLinks.code });
    return actual.link(from, to);
  };
  return { ...actual, link };
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-lock-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
/** A lock in a folder of its own, left there with this content if any. */
async function newLock(content?: string): Promise<string> {
  const path = join(folder, String(count++), "a.lock");
  await mkdir(dirname(path));
  if (content !== undefined) await writeFile(path, content);
  return path;
}

/** A lock as a process elsewhere would have written it. */
function lockOf(owner: object): string {
  return JSON.stringify({ kelixLock: "other", silenceMs: 1500, host: "elsewhere", ...owner });
}

/** Gives up waiting after so long. */
async function expectNoLock(path: string, ms: number): Promise<void> {
  let waits = 0;
  const signal = AbortSignal.timeout(ms);
  await expect(waitForLock(path, { signal, onWait: () => waits++ })).rejects.toThrow("timeout");
  expect(waits).toBe(1);
}

async function expectNothingLeft(path: string): Promise<void> {
  expect(await readdir(dirname(path))).toEqual([]);
}

/** Goes in so many times; fails when another is in. */
async function enter(path: string, inside: Set<string>, times: number, atEnd?: () => Promise<void>): Promise<void> {
  for (let i = 0; i < times; i++) {
    const lock = await waitForLock(path);
    expect([...inside]).toEqual([]);
    inside.add(path);
    await sleep(2);
    inside.delete(path);
    await atEnd?.();
    await lock.release();
  }
}

describe("where link says", () => {
  afterEach(() => {
    noLinks.code = "";
  });

  test.each(["nothing", "EPERM", "ENOTSUP", "EXDEV"])("%s, one after the other comes in", async (code) => {
    if (code !== "nothing") noLinks.code = code;
    const path = await newLock();
    const inside = new Set<string>();
    await Promise.all(Array.from({ length: 3 }, () => enter(path, inside, 3)));
    await expectNothingLeft(path);
  });

  test("EPERM, an abandoned lock is taken over by one at a time too", async () => {
    noLinks.code = "EPERM";
    const path = await newLock("");
    const inside = new Set<string>();
    await Promise.all(Array.from({ length: 4 }, () => enter(path, inside, 1)));
    await expectNothingLeft(path);
  });
});

describe.concurrent("an abandoned lock", () => {
  test("is taken over by one of many, again and again", async () => {
    const foreign = "999999 dead elsewhere";
    const path = await newLock(foreign);
    const inside = new Set<string>();
    const leaveForeign = () => writeFile(path, foreign);
    await Promise.all(Array.from({ length: 5 }, () => enter(path, inside, 1, leaveForeign)));
    expect(await readFile(path, "utf8")).toBe(foreign);
  }, 20_000);

  test.each([
    ["empty", ""],
    ["of another program", "999999 dead elsewhere"],
    ["cut", lockOf({}).slice(0, 30)],
    ["no object", "null"],
  ])("that is %s holds nobody up for long", async (_, content) => {
    const path = await newLock(content);
    const start = performance.now();
    await (await waitForLock(path)).release();
    expect(performance.now() - start).toBeGreaterThan(900);
    expect(performance.now() - start).toBeLessThan(5000);
    await expectNothingLeft(path);
  });

  test("is one that is not touched for as long as it promises, whatever time it has", async () => {
    const path = await newLock(lockOf({}));
    await utimes(path, new Date("2090-01-01"), new Date("2090-01-01"));
    const start = performance.now();
    const lock = await tryLock(path);
    expect(performance.now() - start).toBeGreaterThan(1400);
    expect(await tryLock(path)).toBeUndefined();
    await lock?.release();
    await lock?.release();
    await expectNothingLeft(path);
  });

  test("is removed with all that killed processes left beside it", async () => {
    const path = await newLock("");
    const left = `${path}.0e5b9b0e-6f0d-4d6a-9a53-3c9d1b1a7f10`;
    await writeFile(left, "");
    await utimes(left, 1, 1);
    await writeFile(`${path}.takeover`, "of one that was killed in the middle");
    await (await waitForLock(path)).release();
    await expectNothingLeft(path);
  }, 20_000);
});

describe.concurrent("a held lock", () => {
  test("is not taken while it is touched, whatever time it gets", async () => {
    const path = await newLock(lockOf({}));
    let year = 1990;
    const touching = setInterval(() => void utimes(path, 1, new Date(`${year++}-01-01`)), 500);
    try {
      await expectNoLock(path, 4000);
      expect(await tryLock(path)).toBeUndefined();
      expect(await readFile(path, "utf8")).toBe(lockOf({}));
    } finally {
      clearInterval(touching);
    }
  }, 10_000);

  test("is touched by its owner", async () => {
    const path = await newLock();
    const lock = await waitForLock(path, { silenceMs: 1000 });
    await expectNoLock(path, 2500);
    expect(lock.lost.aborted).toBe(false);
    await lock.release();
  });

  test("that another took, since its owner was stopped for too long, is lost and left alone", async () => {
    const path = await newLock();
    const lock = await waitForLock(path, { silenceMs: 1000 });
    expect(lock.lost.aborted).toBe(false);
    await rm(path);
    const next = await waitForLock(path);
    await vi.waitFor(() => expect(lock.lost.aborted).toBe(true));
    expect(lock.lost.reason.message).toMatch(/another took its lock/);
    await lock.release();
    expect(await tryLock(path)).toBeUndefined();
    await next.release();
  });

  test("of another container is not judged by its process number", async () => {
    const own = identifyProcess();
    for (const elsewhere of [{ space: "another boot" }, { pid: -1 }]) {
      const process = { ...own, start: "1", ...elsewhere };
      await expectNoLock(await newLock(lockOf({ silenceMs: 60_000, process })), 500);
    }
  });

  test("that is no file is named and not waited for", async () => {
    const path = await newLock();
    await mkdir(path);
    await expect(waitForLock(path)).rejects.toThrow(/a\.lock: expected a lock file/);
  });
});

describe.runIf(process.platform === "linux")("on one machine", () => {
  async function startHolder(path: string): Promise<ChildProcess> {
    const module = JSON.stringify(new URL("./file-lock.ts", import.meta.url).href);
    const script = `const { waitForLock } = await import(${module});
      await waitForLock(${JSON.stringify(path)}); console.log("held"); setInterval(() => {}, 1000);`;
    const args = ["--import", "tsx", "--input-type=module", "-e", script];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    return child;
  }

  test("the lock of a running process is not free, that of a killed one is at once", async () => {
    const path = await newLock();
    const child = await startHolder(path);
    expect(await tryLock(path)).toBeUndefined();
    child.kill("SIGKILL");
    await once(child, "close");
    const start = performance.now();
    const lock = await tryLock(path);
    expect(performance.now() - start).toBeLessThan(1000);
    await lock?.release();
    await expectNothingLeft(path);
  }, 20_000);

  test("a number that was given to another process proves that the first is dead", async () => {
    const process = { ...identifyProcess()!, start: "1" };
    const lock = await tryLock(await newLock(lockOf({ silenceMs: 60_000, process })));
    expect(lock).toBeDefined();
    await lock?.release();
  });
});
