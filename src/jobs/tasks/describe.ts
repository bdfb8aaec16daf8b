// describe: what the model says about each image, as JSON Lines: {"key": "0001", "text": "a rocket"}.

import { writeAll } from "../../output/atomic-file.ts";
import type { CodeFields } from "../../vision/image-codes.ts";
import type { Task } from "./task.ts";

export const task: Task<"describe", CodeFields, string> = {
  suffix: ".jsonl",
  together: 8,
  maxItems: 50_000_000,
  prepare: async (image, { kelix, signal }) => ("data" in image ? kelix.tokenize(image, { signal }) : image),
  work: (codes, seed, { kelix, options, signal }) => kelix.describe(codes, { ...options, seed, signal }),
  async write(results, file) {
    for await (const { key, value: text } of results)
      await writeAll(file, new TextEncoder().encode(`${JSON.stringify({ key, text })}\n`));
  },
};
