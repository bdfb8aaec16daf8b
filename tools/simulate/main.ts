// npm run simulate [-- --measure] [--json]
// What a corpus costs in time, storage and queue traffic: a simulation of the queue with the costs in measured.json. --measure measures
// these again on this machine, in about two minutes; redis-server has to be installed.

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { counterRandom } from "../../src/random/counter.ts";
import type { Measured } from "./measure.ts";
import { type QueueModel, simulateQueue } from "./queue-model.ts";
import { formatScenarios, type Scenario } from "./scenario-table.ts";

const file = new URL("measured.json", import.meta.url);
const { values } = parseArgs({ options: { measure: { type: "boolean" }, json: { type: "boolean" } } });
if (values.measure) {
  const { measure } = await import("./measure.ts");
  const measured = await measure((line) => console.error(line));
  writeFileSync(file, `${JSON.stringify(measured, null, 2)}\n`);
}
const measured = JSON.parse(readFileSync(file, "utf8")) as Measured;

/** What goes wrong. Assumed, not measured: a cloud's machines that may be taken away. */
const TROUBLE = {
  spread: 0.1,
  slowShare: 0.02,
  slowFactor: 4,
  lifeSeconds: 24 * 3600,
  restartSeconds: 120,
  /** A lock of 30 s, and a look for those that ran out every 30 s. */
  lockSeconds: 45,
  failShare: 0.001,
  attempts: 3,
  backoffSeconds: 5,
};

/**
 * Seconds an image of the released 8B at 4 bits takes two cores, from the rehearsal (docs/released-models.md): of 32.5 s to the first token
 * of an answer a tenth is the vision encoder, and a third opens the sessions once; then 6.0 tokens a second, 40 tokens. A drawing from codes
 * has 20 steps, each twice for guidance, of 10.9 s, and 57 s for the pixels.
 */
const OPENING = 32.5 / 3;
const RELEASED = {
  tokenize: 32.5 / 10,
  describe: 32.5 - OPENING + 40 / 6.0,
  reconstruct: 20 * 2 * 10.9 + 57,
};
/** Of a photograph: 400 positions of 8 codes as 16-bit numbers and their header, an answer of 40 tokens, a PNG of 1024 x 1024. */
const RELEASED_BYTES = { tokenize: 400 * 8 * 2 + 200, describe: 200, reconstruct: 1.5e6 };

/** Images of a corpus, and of each of its shards. */
const CORPORA = [
  { images: 1e6, each: 1000 },
  { images: 1e9, each: 10_000 },
];
const WORKERS = [1, 100, 1000];
const TASKS = ["tokenize", "describe", "reconstruct"] as const;
/** A longer shard is made smaller, since a death undoes it; but a queue holds at most a million. */
const MAX_SHARD_SECONDS = 2 * 3600;
const MAX_SHARDS = 1e6;

function scenarios(): Scenario[] {
  const models = [
    { name: "kelix-nano", start: measured.startSeconds, cost: (task: (typeof TASKS)[number]) => measured.images[task] },
    {
      name: "8B at 4 bits",
      start: OPENING,
      cost: (task: (typeof TASKS)[number]) => ({
        secondsPerImage: RELEASED[task],
        bytesPerImage: RELEASED_BYTES[task],
      }),
    },
  ];
  return models.flatMap((model) =>
    TASKS.flatMap((task) =>
      CORPORA.flatMap(({ images, each }) => {
        const cost = model.cost(task);
        const short = 10 ** Math.floor(Math.log10(MAX_SHARD_SECONDS / cost.secondsPerImage));
        const size = Math.max(images / MAX_SHARDS, Math.min(each, short));
        // Such a shard outlives its workers, and would hardly ever be done.
        if (size * cost.secondsPerImage > 2 * TROUBLE.lifeSeconds) return [];
        return WORKERS.map((workers) => {
          const queue: QueueModel = {
            ...TROUBLE,
            shards: images / size,
            workers,
            shardSeconds: size * cost.secondsPerImage,
            startSeconds: model.start,
          };
          const outcome = simulateQueue(queue, counterRandom(1, `${model.name} ${task} ${images} ${workers}`));
          return { model: model.name, task, images, imagesPerShard: size, cost, queue, outcome };
        });
      }),
    ),
  );
}

const found = scenarios();
console.log(values.json ? JSON.stringify(found) : formatScenarios(found, measured));
