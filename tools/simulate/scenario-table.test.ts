import { expect, test } from "vitest";
import type { Measured } from "./measure.ts";
import { plainQueue } from "./plain-queue.ts";
import { formatScenarios, type Scenario, storageOf, trafficOf } from "./scenario-table.ts";

const measured: Measured = {
  machine: "a test's",
  images: {
    tokenize: { secondsPerImage: 1, bytesPerImage: 700 },
    describe: { secondsPerImage: 1, bytesPerImage: 30 },
    reconstruct: { secondsPerImage: 1, bytesPerImage: 9000 },
  },
  manifestBytes: 500,
  startSeconds: 2,
  perShard: { commands: 40, bytesIn: 2000, bytesOut: 600, cpuSeconds: 0.001 },
  perWorkerSecond: { commands: 3, bytesIn: 200, bytesOut: 80, cpuSeconds: 0.0005 },
  redisBytesPerShard: 1200,
};
const scenario: Scenario = {
  model: "small",
  task: "tokenize",
  images: 1e6,
  imagesPerShard: 1000,
  cost: measured.images.tokenize,
  queue: { ...plainQueue, workers: 10, shardSeconds: 1000 },
  outcome: { seconds: 100_000, done: 1000, dead: 0, attempts: 1010, deaths: 0, worked: 990_000, wasted: 10_000 },
};

test("traffic is that of the attempts and of the workers' seconds; outputs have manifests", () => {
  expect(trafficOf(scenario, measured)).toEqual({
    commands: 1010 * 40 + 1e6 * 3,
    bytes: 1010 * 2600 + 1e6 * 280,
    load: (1010 * 0.001 + 1e6 * 0.0005) / 100_000,
    memoryBytes: 1_200_000,
  });
  expect(storageOf(scenario, measured)).toBe(1e6 * 700 + 1000 * 500);
});

test("a row has its numbers with two digits", () => {
  expect(formatScenarios([scenario], measured).split("\n")[2]).toBe(
    "| small, tokenize | 10^6 | 1,000 | 10 | 27.8 h | 1.00 x | 1.0 % | 700 MB | 3 million | 280 MB | 0.5 %, 1.2 MB |",
  );
});
