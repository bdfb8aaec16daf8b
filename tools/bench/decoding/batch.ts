// Conversations that share runs: tokens per second of 1, 2, 4 and 8 together. Processes of each shape and context take turns, and
// of each number of conversations the best process counts.

import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import type { Experiment } from "../experiment.ts";
import { inProcess } from "./in-process.ts";
import { conversations, measureTogether, type Shape, type TogetherJob } from "./together.ts";

const contexts = [64, 128] as const;
const shapes = ["nano", "h1024-l28"] as const;
type Rates = Readonly<Record<string, number>>;

/** The context at which a shape's rates stand for themselves in the report. */
const ownContext: Readonly<Record<Shape, number>> = { nano: 64, "h1024-l28": 128, toy: 64 };
/** Tokens of a round, and rounds. */
const sizes: Readonly<Record<Shape, Pick<TogetherJob, "written" | "rounds">>> = {
  nano: { written: 48, rounds: 25 },
  "h1024-l28": { written: 12, rounds: 5 },
  toy: { written: 4, rounds: 2 },
};
/** As Kelix runs it. */
const NANO_THREADS = 1;

export const batch: Experiment = {
  name: "batch",
  about:
    "conversations together: { nano: { 1, 2, 4, 8: tokens/s at context 64 }, h1024-l28: (at 128), contexts: { 64, 128: of both } }",
  async report({ session, processes, block, isSmall }, log) {
    const measured = isSmall ? (["toy"] as const) : shapes;
    const job = (shape: Shape, context: number): TogetherJob => {
      const threads = session.threads ?? (shape === "nano" ? NANO_THREADS : availableParallelism());
      return { shape, context, ...sizes[shape], block, session: { ...session, threads } };
    };
    const best: Record<string, Partial<Record<Shape, Rates>>> = {};
    for (let i = 0; i < (isSmall ? 1 : processes); i++) {
      for (const context of contexts) {
        for (const shape of measured) {
          log(`process ${i + 1}: ${shape} at context ${context}`);
          const worker = join(import.meta.dirname, "together-worker.ts");
          const rates = isSmall
            ? await measureTogether(job(shape, context))
            : await inProcess<number[]>(worker, job(shape, context));
          best[context] ??= {};
          const before = best[context][shape];
          best[context][shape] = Object.fromEntries(
            conversations.map((count, at) => [count, Math.max(rates[at]!, before?.[count] ?? 0)]),
          );
        }
      }
    }
    return {
      ...Object.fromEntries(measured.map((shape) => [shape, best[ownContext[shape]]![shape]!])),
      contexts: best,
      block,
      cpu: cpus()[0]?.model,
    };
  },
};
