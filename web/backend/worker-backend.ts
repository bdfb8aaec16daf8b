// The model in this browser: calls and answers of the worker, matched by id.

import type { CallName, Calls, FromWorker, ModelSettings, ToWorker } from "../worker/messages.ts";
import {
  type Backend,
  BackendError,
  type ChatPiece,
  type Codes,
  type DrawPiece,
  type Facts,
  type LoadProgress,
  type Message,
  type PageImage,
  type Sampling,
} from "./backend.ts";
import { Pieces } from "./pieces.ts";

interface Waiting {
  readonly onPiece: (piece: ChatPiece | DrawPiece) => void;
  readonly resolve: (value: Calls[CallName]["gives"]) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerBackend implements Backend {
  readonly place = "browser";
  readonly #settings: ModelSettings;
  readonly #onLoad: (progress: LoadProgress) => void;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #facts: Promise<Facts> | undefined;
  #next = 0;

  constructor(settings: ModelSettings, onLoad: (progress: LoadProgress) => void) {
    this.#settings = settings;
    this.#onLoad = onLoad;
  }

  open(): Promise<Facts> {
    this.#facts ??= this.#ask("open", this.#settings).catch((error) => {
      this.#facts = undefined;
      throw error;
    });
    return this.#facts;
  }

  chat(messages: readonly Message[], sampling: Sampling, signal: AbortSignal) {
    return this.#stream<ChatPiece>("chat", { messages, sampling }, signal);
  }

  imagine(prompt: string, sampling: Sampling, signal: AbortSignal) {
    return this.#stream<DrawPiece>("imagine", { prompt, sampling }, signal);
  }

  edit(
    image: PageImage,
    prompt: string,
    mask: readonly boolean[] | undefined,
    sampling: Sampling,
    signal: AbortSignal,
  ) {
    return this.#stream<DrawPiece>("edit", { image, prompt, mask, sampling }, signal);
  }

  async tokenize(image: PageImage, signal?: AbortSignal): Promise<Codes> {
    return this.#opened("tokenize", { image }, signal);
  }

  async reconstruct(codes: Codes, sampling: Sampling, signal?: AbortSignal): Promise<PageImage> {
    return this.#opened("reconstruct", { codes, sampling }, signal);
  }

  async embed(image: PageImage, signal?: AbortSignal): Promise<Float32Array> {
    return this.#opened("embed", { image }, signal);
  }

  async occlude(codes: Codes, question: string, answer: string, signal?: AbortSignal) {
    return this.#opened("occlude", { codes, question, answer }, signal);
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = this.#facts = undefined;
    this.#fail(new BackendError("Stopped", "aborted"));
  }

  async #opened<Name extends CallName>(call: Name, takes: Calls[Name]["takes"], signal?: AbortSignal) {
    await this.open();
    return this.#ask(call, takes, signal);
  }

  async *#stream<Piece>(call: "chat" | "imagine" | "edit", takes: Calls[typeof call]["takes"], signal: AbortSignal) {
    await this.open();
    const pieces = new Pieces<Piece>();
    const onPiece = (piece: ChatPiece | DrawPiece) => pieces.add(piece as Piece);
    this.#ask(call, takes, signal, onPiece).then(
      () => pieces.end(),
      (error) => pieces.fail(error),
    );
    yield* pieces;
  }

  #ask<Name extends CallName>(
    call: Name,
    takes: Calls[Name]["takes"],
    signal?: AbortSignal,
    onPiece: Waiting["onPiece"] = () => undefined,
  ): Promise<Calls[Name]["gives"]> {
    this.#worker ??= this.#start();
    const id = this.#next++;
    const post = (message: ToWorker) => this.#worker?.postMessage(message);
    const abort = () => post({ id, abort: true });
    const answer = new Promise<Calls[Name]["gives"]>((resolve, reject) => {
      this.#waiting.set(id, { onPiece, resolve: resolve as Waiting["resolve"], reject });
      post({ id, call, takes });
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort);
    });
    return answer.finally(() => {
      this.#waiting.delete(id);
      signal?.removeEventListener("abort", abort);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL("../worker/worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("progress" in data) return this.#onLoad(data.progress);
      const waiting = this.#waiting.get(data.id);
      if ("piece" in data) waiting?.onPiece(data.piece);
      else if ("error" in data) waiting?.reject(new BackendError(data.error.message, data.error.code));
      else waiting?.resolve(data.gives);
    });
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#worker = this.#facts = undefined;
      const cause = event.message ? `: ${event.message}` : "";
      this.#fail(
        new BackendError(`The model's worker stopped${cause}. Reload the page to start it again.`, "worker_died"),
      );
    });
    return worker;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
