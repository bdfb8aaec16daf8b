// How long the server's main thread makes others wait while a worker reads a prompt of 512 positions at 0.6B: the time that /livez takes.

import { cpus, loadavg } from "node:os";
import type { Experiment } from "../experiment.ts";
import { ChatClient } from "./chat-client.ts";
import { randomModel } from "./random-model.ts";
import { quantile } from "./rounds.ts";
import { serve } from "./served.ts";

const WORDS = 330; // about 505 positions

export const serveLag: Experiment = {
  name: "serve-lag",
  about: "answers of `kelix serve` beside a prompt of 512 positions at 0.6B: { p50Ms, p99Ms, mostMs, prefillMs }",
  async report({ session, isSmall, block }, log) {
    const model = await randomModel(isSmall ? "toy" : "h1024-l28", block);
    log("a server of one worker");
    // The other core is left to the main thread, as on a machine that is not full.
    const server = await serve(["--model", model, "--name", "bench", "--threads", String(session.threads ?? 1)]);
    const client = new ChatClient(server.url);
    const prefillMs: number[] = [];
    const waits: number[] = [];
    try {
      const read = async (number: number) => {
        const content = `${number} ${Array.from({ length: WORDS }, (_, i) => (i % 3 === 0 ? "red" : "circle")).join(" ")}`;
        prefillMs.push((await client.ask({ model: "bench", content, tokens: 1 })).firstMs);
      };
      await read(0);
      prefillMs.length = 0;
      let isReading = true;
      const reading = (async () => {
        for (let i = 1; i <= (isSmall ? 2 : 5); i++) await read(i);
        isReading = false;
      })();
      while (isReading) {
        const startMs = performance.now();
        await (await fetch(`${server.url}/livez`)).arrayBuffer();
        waits.push(performance.now() - startMs);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await reading;
    } finally {
      client.close();
      await server.stop();
    }
    const [p50Ms, p99Ms, mostMs] = [0.5, 0.99, 1].map((share) => quantile(waits, share));
    return { p50Ms, p99Ms, mostMs, prefillMs: quantile(prefillMs, 0.5), load: loadavg()[0], cpu: cpus()[0]?.model };
  },
};
