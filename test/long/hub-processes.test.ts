// Pulls and locks of several processes that are killed, stopped and started side by side. Runs the built program.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expectNothingHalfWritten, expectSnapshot, modelFiles, repo, repoFolder, useHub } from "../hub-repository.ts";

const dist = (path: string) => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href);
const modelBytes = Object.values(modelFiles).reduce((sum, { length }) => sum + length, 0);
const FOREIGN_LOCK = "999999 dead elsewhere";

interface Program {
  readonly child: ChildProcess;
  /** Resolves with what it printed, when it has ended. */
  readonly ended: Promise<string>;
}

/** Runs a module's source; `prefix` is a command that it is run by. */
function run(source: string, prefix: readonly string[] = []): Program {
  const [command = process.execPath, ...args] = [...prefix, process.execPath, "--input-type=module", "-e", source];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (piece) => {
    text += piece;
  });
  return { child, ended: once(child, "close").then(() => text) };
}

async function printed({ child }: Program): Promise<void> {
  await once(child.stdout!, "data");
}

describe("a lock", () => {
  let folder: string;
  let path: string;
  let log: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "kelix-lock-"));
    path = join(folder, "a.lock");
    log = join(folder, "log");
    await writeFile(log, "");
  });
  afterEach(() => rm(folder, { recursive: true }));

  const enter = (times: number, atEnd = "") => `
    import { appendFileSync, writeFileSync } from "node:fs";
    const { withLock } = await import(${dist("hub/lock.js")});
    for (let i = 0; i < ${times}; i++) await withLock(${JSON.stringify(path)}, {}, async () => {
      appendFileSync(${JSON.stringify(log)}, "+");
      await new Promise((resolve) => setTimeout(resolve, 3));
      appendFileSync(${JSON.stringify(log)}, "-");
      ${atEnd}
    });`;
  const hold = (silenceMs = 15_000) => `
    const { waitForLock } = await import(${dist("hub/file-lock.js")});
    const lock = await waitForLock(${JSON.stringify(path)}, { silenceMs: ${silenceMs} });
    lock.lost.addEventListener("abort", () => { console.log("lost"); process.exit(); });
    console.log("held"); setInterval(() => {}, 1000);`;

  test.each([
    ["free", 25, ""],
    ["left behind by a dead owner each time", 6, `writeFileSync(${"PATH"}, ${JSON.stringify(FOREIGN_LOCK)})`],
  ])(
    "that is %s has one owner at a time",
    async (_, times, atEnd) => {
      const source = enter(times, atEnd.replace("PATH", JSON.stringify(path)));
      await Promise.all(Array.from({ length: 4 }, () => run(source).ended));
      expect(await readFile(log, "utf8")).toBe("+-".repeat(4 * times));
    },
    180_000,
  );

  test.runIf(process.platform === "linux")(
    "is free at once when its owner is killed",
    async () => {
      for (let i = 0; i < 10; i++) {
        const holder = run(hold());
        await printed(holder);
        holder.child.kill("SIGKILL");
        await holder.ended;
        const start = performance.now();
        await run(enter(1)).ended;
        expect(performance.now() - start).toBeLessThan(5000);
      }
      expect(await readFile(log, "utf8")).toBe("+-".repeat(10));
      expect((await readdir(folder)).sort()).toEqual(["log"]);
    },
    180_000,
  );

  test.skipIf(process.platform === "win32")(
    "is lost to its owner who was stopped for too long",
    async () => {
      const holder = run(hold(2000));
      await printed(holder);
      holder.child.kill("SIGSTOP");
      await run(enter(1)).ended;
      const next = run(hold());
      await printed(next);
      holder.child.kill("SIGCONT");
      expect(await holder.ended).toBe("held\nlost\n");
      expect(await readFile(log, "utf8")).toBe("+-");
      expect(await readdir(folder)).toContain("a.lock");
      next.child.kill("SIGKILL");
      await next.ended;
    },
    60_000,
  );

  const inContainer = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const hasContainers = spawnSync(inContainer[0]!, [...inContainer.slice(1), "true"]).status === 0;

  test.runIf(hasContainers)(
    "of another container is kept while that lives, and taken when it is dead",
    async () => {
      const holder = run(hold(3000), inContainer);
      await printed(holder);
      const waiting = run(enter(1));
      await sleep(8000);
      expect(await readFile(log, "utf8")).toBe("");
      holder.child.kill("SIGKILL");
      await holder.ended;
      const start = performance.now();
      await waiting.ended;
      expect(performance.now() - start).toBeLessThan(10_000);
      expect(await readFile(log, "utf8")).toBe("+-");
    },
    60_000,
  );
});

describe("pulls", () => {
  const hub = useHub();
  const pull = (startAt = 0) =>
    run(`await new Promise((resolve) => setTimeout(resolve, ${startAt} - Date.now()));
      const { pullModel } = await import(${dist("hub/pull.js")});
      const settings = ${JSON.stringify(hub.settings)};
      console.log((await pullModel(${JSON.stringify(repo)}, { settings })).fetchedBytes);`);

  async function leaveForeignLock(): Promise<void> {
    const folder = join(hub.cacheFolder, ".locks", "models--owner--tiny");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "kelix.lock"), FOREIGN_LOCK);
  }

  test("that are killed leave nothing half-written, and the next one goes on", async () => {
    hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 10_000, pauseMs: 20 } };
    for (let i = 0; i < 20; i++) {
      const { child, ended } = pull();
      await sleep(300 + 60 * i);
      child.kill("SIGKILL");
      await ended;
      await expectNothingHalfWritten(hub.cacheFolder);
    }
    hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 1 << 20, pauseMs: 0 } };
    await pull().ended;
    await expectSnapshot(hub.cacheFolder, modelFiles);
  }, 180_000);

  test("that begin in the same moment beside the lock of a dead one fetch everything once", async () => {
    hub.server.options = { ...hub.server.options, slowly: { pieceBytes: 30_000, pauseMs: 5 } };
    for (let i = 0; i < 6; i++) {
      await leaveForeignLock();
      const at = Date.now() + 1000;
      const fetched = await Promise.all(Array.from({ length: 3 }, async () => Number(await pull(at).ended)));
      expect(fetched.sort((a, b) => a - b)).toEqual([0, 0, modelBytes]);
      await expectSnapshot(hub.cacheFolder, modelFiles);
      await rm(repoFolder(hub.cacheFolder), { recursive: true });
    }
  }, 180_000);
});
