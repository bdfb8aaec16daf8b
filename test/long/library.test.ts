// The library under what servers do to it: aborts at every check, dispose at any moment, many callers at once, hundreds of calls.

import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ChatOptions, type ImageInput, Kelix, KelixError } from "../../src/index.ts";
import { tryOddArguments } from "../odd-arguments.ts";

const names = ["octopus", "guitar", "rocket", "umbrella", "sunflower", "strawberry"];
const demo = (name: string) => `data/heldout/demo/${name}.png`;

let kelix: Kelix;
beforeAll(async () => {
  kelix = await Kelix.load("kelix-nano");
});
afterAll(() => kelix?.dispose());

async function answer(model: Kelix, image: ImageInput, options: ChatOptions = {}): Promise<string> {
  const content = [
    { type: "image", image },
    { type: "text", text: "What is this?" },
  ];
  let text = "";
  for await (const piece of model.chat([{ role: "user", content }], options)) text += piece;
  return text;
}

const calls: Readonly<Record<string, (model: Kelix, options: object) => Promise<unknown>>> = {
  tokenize: (model, options) => model.tokenize(demo("guitar"), options),
  chat: (model, options) => answer(model, demo("guitar"), options),
  imagine: (model, options) => model.imagine("two red circles", { steps: 3, ...options }),
  reconstruct: (model, options) => model.reconstruct(demo("guitar"), { steps: 3, ...options }),
};

/** A signal that aborts when it is looked at for the n-th time. */
function abortAtLook(n: number, reason: unknown): { readonly signal: AbortSignal; readonly looks: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let looks = 0;
  const isAborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted")!.get!;
  const look = () => {
    if (++looks === n) controller.abort(reason);
    return isAborted.call(signal) as boolean;
  };
  Object.defineProperty(signal, "aborted", { get: look });
  signal.throwIfAborted = () => {
    if (look()) throw signal.reason;
  };
  return { signal, looks: () => looks };
}

test("an abort at any check ends a call with the signal's reason, and harms no later one", async () => {
  const wanted = await answer(kelix, demo("octopus"));
  const [drawn] = await kelix.imagine("x", { seed: 2, steps: 3 });
  for (const call of Object.values(calls)) {
    for (let n = 1; ; n++) {
      const reason = { n };
      const { signal, looks } = abortAtLook(n, reason);
      const result = await call(kelix, { signal }).catch((error: unknown) => error);
      if (looks() < n) break;
      if (signal.aborted && result instanceof Error) expect(result).toBe(reason);
    }
  }
  expect(await answer(kelix, demo("octopus"))).toBe(wanted);
  expect((await kelix.imagine("x", { seed: 2, steps: 3 }))[0]!.data).toEqual(drawn!.data);
}, 600_000);

test("dispose at any moment ends the work, which says why", async () => {
  for (const call of Object.values(calls)) {
    for (let ms = 0; ms < 120; ms += 12) {
      const model = await Kelix.load("kelix-nano");
      const work = call(model, {}).catch((error: unknown) => error);
      await sleep(ms);
      await model.dispose();
      const result = await work;
      if (result instanceof Error) expect((result as KelixError).code).toBe("disposed");
      await expect(call(model, {})).rejects.toThrow("disposed of");
    }
  }
}, 600_000);

test("twenty callers at once get what each alone would, while others abort or stop reading", async () => {
  const alone = new Map<string, string>();
  for (const name of names) alone.set(name, await answer(kelix, demo(name)));
  const [drawn] = await kelix.imagine("two red circles", { seed: 1, steps: 3 });
  for (const options of [{}, { promptCacheBytes: 0 }]) {
    const fresh = await Kelix.load("kelix-nano", options);
    const reason = new Error("enough");
    const readers = Array.from({ length: 20 }, async (_, i) => {
      const name = names[i % names.length]!;
      if (i % 3 !== 2) expect(await answer(fresh, demo(name))).toBe(alone.get(name));
      else {
        const messages = [{ role: "user", content: [{ type: "image", image: demo(name) }] }];
        const controller = new AbortController();
        const pieces = fresh.chat(messages, { signal: controller.signal })[Symbol.asyncIterator]();
        await pieces.next();
        if (i % 2 === 0) await pieces.return();
        else {
          controller.abort(reason);
          expect(await pieces.next().catch((error: unknown) => error)).toBeOneOf([reason, { done: true }]);
        }
      }
    });
    const drawers = Array.from({ length: 4 }, async () => {
      expect((await fresh.imagine("two red circles", { seed: 1, steps: 3 }))[0]!.data).toEqual(drawn!.data);
    });
    await Promise.all([...readers, ...drawers]);
    for (const name of names) expect(await answer(fresh, demo(name))).toBe(alone.get(name));
    await fresh.dispose();
  }
}, 600_000);

test("hundreds of calls, and dozens of models, leave no memory and no file open", async () => {
  const megabytes: number[] = [];
  for (let i = 0; i < 200; i++) {
    const side = 64 + (i % 5) * 16;
    const data = Uint8Array.from({ length: side * side * 3 }, (_, j) => (j * (i + 3)) & 255);
    await answer(kelix, { width: side, height: side, data }, { maxNewTokens: 8 });
    if (i % 10 === 9) await kelix.imagine("x", { seed: i, steps: 1 });
    megabytes.push(process.memoryUsage().rss / 1e6);
  }
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean(megabytes.slice(-60)) - mean(megabytes.slice(80, 140))).toBeLessThan(40);

  const openFiles = () => (process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0);
  const before = openFiles();
  for (let i = 0; i < 20; i++) {
    const model = await Kelix.load("kelix-nano");
    await answer(model, demo(names[i % names.length]!));
    await model.dispose();
    await expect(Kelix.load("configs")).rejects.toThrow(KelixError);
  }
  expect(openFiles()).toBeLessThanOrEqual(before + 2);
}, 600_000);

test("no argument, whatever it is, gets another library's words", async () => {
  await tryOddArguments(kelix, 3000);
}, 600_000);
