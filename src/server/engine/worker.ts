// A worker thread with one model, its scheduler, tokenizer and codecs. It runs all its requests concurrently.

import { parentPort, workerData } from "node:worker_threads";
import { Kelix } from "../../index.ts";
import type { ModelFacts } from "../protocol.ts";
import type { FromWorker, ToWorker, WorkerSetup } from "./messages.ts";
import { Channel, Outbox } from "./outbox.ts";
import { runRequest } from "./run-request.ts";
import { loadErrorToWire, toWire } from "./wire-errors.ts";

interface Running {
  readonly controller: AbortController;
  readonly channel: Channel;
  isAlone: boolean;
}

const port = parentPort!;
const post = (message: FromWorker) => port.postMessage(message);
const outbox = new Outbox(port);
const running = new Map<number, Running>();

async function main({ model, load }: WorkerSetup): Promise<void> {
  let kelix: Kelix;
  try {
    kelix = await Kelix.load(model, { ...load, onWarning: (message) => post({ type: "warning", message }) });
    await warm(kelix);
  } catch (error) {
    post({ type: "failed", error: loadErrorToWire(error) });
    port.close();
    return;
  }
  port.on("message", (message: ToWorker) => void receive(kelix, message));
  post({ type: "ready", facts: factsOf(kelix) });
}

async function receive(kelix: Kelix, message: ToWorker): Promise<void> {
  if (message.type === "run") await run(kelix, message);
  else if (message.type === "abort") running.get(message.id)?.controller.abort();
  else if (message.type === "credit") running.get(message.id)?.channel.grant(message.count);
  else {
    await kelix.dispose();
    port.close();
  }
}

async function run(kelix: Kelix, { id, request, key }: ToWorker & { readonly type: "run" }): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const channel = new Channel(id, outbox, signal);
  const own: Running = { controller, channel, isAlone: true };
  running.set(id, own);
  if (running.size > 1) for (const one of running.values()) one.isAlone = false;
  try {
    await runRequest(kelix, request, channel, { key, signal, isAlone: () => own.isAlone });
    outbox.post({ id, done: true });
  } catch (error) {
    // An aborted request needs no reason.
    outbox.post(signal.aborted ? { id, done: true } : { id, done: true, error: toWire(error) });
  } finally {
    running.delete(id);
  }
}

/** Opens the language model's sessions, so that the first answer need not wait. Those for drawing are opened with the first image. */
async function warm(kelix: Kelix): Promise<void> {
  if (!kelix.info().can.chat) return;
  await kelix
    .chat([{ role: "user", content: "Hello" }], { maxNewTokens: 1, mayDraw: false, cacheKey: "warm" })
    .result();
}

function factsOf(kelix: Kelix): ModelFacts {
  const { context, imageGrid, imageSize, drawing, can, codebooks, codesPerBook, width } = kelix.info();
  return {
    context,
    grid: imageGrid,
    ...(imageSize && { imageSize }),
    drawing,
    canChat: can.chat,
    canImagine: can.imagine,
    canReconstruct: can.reconstruct,
    canEmbed: can.embed,
    codebooks,
    codesPerBook,
    width,
  };
}

await main(workerData as WorkerSetup);
