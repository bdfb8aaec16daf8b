// For tests: a queue of a thousand shards in which nothing is slow, fails or dies.

import type { QueueModel } from "./queue-model.ts";

export const plainQueue: QueueModel = {
  shards: 1000,
  workers: 7,
  shardSeconds: 12,
  startSeconds: 0,
  spread: 0,
  slowShare: 0,
  slowFactor: 1,
  lifeSeconds: Infinity,
  restartSeconds: 0,
  lockSeconds: 0,
  failShare: 0,
  attempts: 3,
  backoffSeconds: 5,
};
