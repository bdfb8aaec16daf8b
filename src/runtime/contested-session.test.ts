import { expect, test } from "vitest";
import type { Device } from "./backend.ts";
import { ContestedSession, type Outcome } from "./contested-session.ts";
import { f32 } from "./host-tensor.ts";
import type { Session } from "./session.ts";

/** Two sessions whose runs take as long as is said, on a clock of their own, and say who ran. */
function contest({ usualMs, rivalMs }: { usualMs: number; rivalMs: number | Error }) {
  let now = 0;
  const log: string[] = [];
  const outcomes: Outcome[] = [];
  const session = (device: Device, ms: number | Error): Session => ({
    device,
    async run() {
      if (ms instanceof Error) throw ms;
      now += ms;
      log.push(device);
      return { y: f32([ms], [1]) };
    },
    release: async () => void log.push(`${device} released`),
  });
  const contested = new ContestedSession(
    session("wasm", usualMs),
    async () => session("webgpu", rivalMs),
    (outcome) => outcomes.push(outcome),
    () => now,
  );
  return { contested, log, outcomes };
}

test("the faster one goes on alone after a second, not counting the run that compiles", async () => {
  const { contested, log, outcomes } = contest({ usualMs: 300, rivalMs: 100 });
  for (let i = 0; i < 3; i++) expect((await contested.run({})).y!.data[0]).toBe(300);
  expect([outcomes, contested.device]).toEqual([[], "wasm"]);
  await contested.run({}); // 3 x (300 + 100) ms are enough
  expect(outcomes).toEqual([{ isRivalFaster: true, usualMs: 300, rivalMs: 100 }]);
  expect(contested.device).toBe("webgpu");
  log.length = 0;
  expect((await contested.run({})).y!.data[0]).toBe(100);
  await contested.release();
  expect(log).toEqual(["webgpu", "webgpu released"]);
});

test("a slow rival is released, and a second is not exceeded by more than one run", async () => {
  const { contested, log, outcomes } = contest({ usualMs: 5, rivalMs: 4000 });
  await contested.run({});
  await contested.run({});
  expect(outcomes).toEqual([{ isRivalFaster: false, usualMs: 5, rivalMs: 4000 }]);
  await contested.run({});
  expect(log).toEqual(["wasm", "webgpu", "wasm", "webgpu", "webgpu released", "wasm"]);
});

test("short runs are not measured for ever", async () => {
  const { contested, outcomes } = contest({ usualMs: 0.1, rivalMs: 0.2 });
  for (let i = 0; i < 51; i++) await contested.run({});
  expect(outcomes).toMatchObject([{ isRivalFaster: false }]);
});

test("a rival that fails is given up, and the results are the usual ones", async () => {
  const error = new Error("device lost");
  const { contested, log, outcomes } = contest({ usualMs: 5, rivalMs: error });
  expect((await contested.run({})).y!.data[0]).toBe(5);
  expect(outcomes).toEqual([{ isRivalFaster: false, error }]);
  await contested.run({});
  await contested.release();
  expect(log).toEqual(["wasm", "webgpu released", "wasm", "wasm released"]);
});

test("runs that are asked for at once do not overlap", async () => {
  const { contested, log } = contest({ usualMs: 400, rivalMs: 100 });
  await Promise.all([contested.run({}), contested.run({}), contested.run({}), contested.run({})]);
  expect(log).toEqual(["wasm", "webgpu", "wasm", "webgpu", "wasm", "webgpu", "wasm released", "webgpu"]);
});
