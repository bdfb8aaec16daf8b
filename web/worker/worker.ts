// The worker: Kelix behind messages. The page's thread never computes.

import { KelixError } from "kelix";
import { calls } from "./calls.ts";
import type { CallName, Calls, FromWorker, ToWorker } from "./messages.ts";

const running = new Map<number, AbortController>();
const send = (message: FromWorker) => postMessage(message);

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if ("abort" in data) running.get(data.id)?.abort(new DOMException("Stopped", "AbortError"));
  else void run(data.id, data.call, data.takes);
});

async function run<Name extends CallName>(id: number, name: Name, takes: Calls[Name]["takes"]): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const gives = await calls[name](takes, {
      signal: controller.signal,
      onPiece: (piece) => send({ id, piece }),
      onLoad: (progress) => send({ progress }),
    });
    send({ id, gives });
  } catch (error) {
    send({ id, error: describe(error) });
  } finally {
    running.delete(id);
  }
}

function describe(error: unknown): { message: string; code: string } {
  if (error instanceof KelixError) return { message: error.message, code: error.code };
  if (error instanceof DOMException && error.name === "AbortError") return { message: "Stopped", code: "aborted" };
  return { message: error instanceof Error ? error.message : String(error), code: "internal" };
}
