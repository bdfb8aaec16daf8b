// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a POST that is retried with the same key gets the answer of the first one,
// or joins it while it is being written. Only complete answers are kept; a failed request can be retried.

import { createHash } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { quote } from "../../errors.ts";
import { type AnswerPart, type AnswerStore, type AnswerWriter, MemoryAnswers } from "./answers.ts";
import { ApiError } from "./api-error.ts";
import { boundaryOf, mediaType, readBody } from "./body.ts";
import { event } from "./event-stream.ts";
import type { HttpContext, HttpEnv, Service } from "./service.ts";

/** A request that may be retried, as the routes see it. */
export interface Repeatable {
  /** The same for every retry, on every replica. */
  readonly id: string;
  /** The ids of its engine requests. */
  workIds: readonly string[];
  /** Whether a stream ended with an error. */
  hasFailed: boolean;
}

/** Of an Idempotency-Key. */
export const MOST_KEY_CHARACTERS = 255;
/** Headers that belong to the answer, not to the connection or the caller. */
const KEPT_HEADERS = ["content-type", "cache-control", "x-accel-buffering"];

export function repeatable(
  service: Service,
  store: AnswerStore = service.answers ?? new MemoryAnswers(),
): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const given = c.req.header("idempotency-key");
    if (given === undefined || c.req.method !== "POST") return next();
    const key = readKey(given);
    const body = await readBody(c, service.settings.limits);
    c.set("body", body);
    const fingerprint = fingerprintOf(c, body);
    const name = hash(JSON.stringify([c.get("key"), key]));
    while (true) {
      const claim = await store.claim(name, fingerprint);
      if (claim.state === "other") throw reused(key);
      if (claim.state === "first") {
        await answerFirst(service, c, next, claim.writer, hash(name + fingerprint).slice(0, 32));
        return;
      }
      const parts = claim.parts[Symbol.asyncIterator]();
      const head = await parts.next();
      if (head.done || head.value.type !== "head") continue; // the answer was dropped
      const first = await parts.next().catch(() => undefined);
      if (!first) continue; // its writer died before writing anything
      c.set("logged", { ...c.get("logged"), replayed: true });
      const { status, headers } = head.value;
      const isStream = headers["content-type"]?.startsWith("text/event-stream") ?? false;
      const stream = guarded(service, c, bodyOf(first, parts, isStream));
      return new Response(stream, { status, headers: { ...headers, "idempotent-replayed": "true" } });
    }
  };
}

async function answerFirst(
  service: Service,
  c: HttpContext,
  next: () => Promise<void>,
  writer: AnswerWriter,
  id: string,
): Promise<void> {
  const repeat: Repeatable = { id, workIds: [], hasFailed: false };
  c.set("repeat", repeat);
  await next();
  const { status, headers, body } = c.res;
  if (status >= 300) return writer.forget();
  const kept = KEPT_HEADERS.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!]] : []));
  const isStream = headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  let isBroken = false;
  const record = async (step: () => Promise<void>) => {
    if (isBroken) return;
    try {
      await step();
    } catch (error) {
      isBroken = true;
      service.settings.log.error({ err: error, requestId: c.get("requestId") }, "an answer could not be kept");
      writer.forget().catch(() => undefined);
    }
  };
  // Runs whether or not the client is connected. A whole answer is kept before it is sent, so that a retry never gets less than the client did.
  const passOn = async (controller: ReadableStreamDefaultController<Uint8Array>, hasLeft: () => boolean) => {
    const pass = (bytes: Uint8Array) => void (hasLeft() || controller.enqueue(bytes));
    const whole: Uint8Array[] = [];
    await record(() => writer.write({ type: "head", status, headers: Object.fromEntries(kept) }));
    for await (const bytes of (body ?? []) as AsyncIterable<Uint8Array>) {
      await record(() => writer.write({ type: "body", bytes }));
      if (isStream) pass(bytes);
      else whole.push(bytes);
    }
    await record(() => (repeat.hasFailed ? writer.forget() : writer.keep(repeat.workIds)));
    for (const bytes of whole) pass(bytes);
    if (!hasLeft()) controller.close();
  };
  let hasLeft = false;
  const own = new ReadableStream<Uint8Array>({
    start(controller) {
      passOn(controller, () => hasLeft).catch((error: unknown) => {
        if (!hasLeft) controller.error(error);
      });
    },
    cancel() {
      hasLeft = true;
    },
  });
  c.res = new Response(guarded(service, c, own as AsyncIterable<Uint8Array>), { status, headers });
}

/** The key in the header, with or without the quotes of the draft. Throws a 400. */
function readKey(header: string): string {
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (/^[\x20-\x7e]+$/.test(key) && key.length <= MOST_KEY_CHARACTERS) return key;
  throw new ApiError(
    400,
    `Idempotency-Key: Expected 1 to ${MOST_KEY_CHARACTERS} printable ASCII characters, got ${key.length} characters`,
    { param: "Idempotency-Key", code: "invalid_idempotency_key" },
  );
}

function reused(key: string): ApiError {
  return new ApiError(
    422,
    `The Idempotency-Key ${quote(key)} was used for a different request; repeat that one unchanged, or use a new key`,
    { param: "Idempotency-Key", code: "idempotency_key_reused" },
  );
}

/** Two requests with the same fingerprint are the same. The boundary of a form is left out: each retry has a new one. */
function fingerprintOf(c: HttpContext, body: Buffer): string {
  const { pathname, search } = new URL(c.req.url);
  const parts = [JSON.stringify([pathname, search, mediaType(c), c.req.header("accept") ?? ""])];
  const digest = createHash("sha256").update(parts.join(""));
  const boundary = mediaType(c) === "multipart/form-data" ? boundaryOf(c) : undefined;
  let from = 0;
  for (let at = boundary ? body.indexOf(boundary) : -1; at >= 0; at = body.indexOf(boundary!, from)) {
    digest.update(body.subarray(from, at)).update("\0boundary\0");
    from = at + boundary!.length;
  }
  return digest.update(body.subarray(from)).digest("hex");
}

async function* bodyOf(
  first: IteratorResult<AnswerPart, unknown>,
  parts: AsyncIterator<AnswerPart>,
  isStream: boolean,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for (let part = first; !part.done; part = await parts.next()) {
      if (part.value.type === "body") yield part.value.bytes;
    }
  } catch (error) {
    if (!isStream) throw error;
    const message = "The answering server died; try again with the same Idempotency-Key";
    const { body } = new ApiError(500, message, { code: "worker_died" });
    yield new TextEncoder().encode(event({ type: "error", ...body }, "error"));
  } finally {
    await parts.return?.();
  }
}

/** A body with backpressure. A client that stops reading is dropped, but the work continues. */
function guarded({ settings }: Service, c: HttpContext, chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const { unsentBytes, stallMs } = settings.limits;
  const source = chunks[Symbol.asyncIterator]();
  let stalled: NodeJS.Timeout | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stalled);
        const chunk = await source.next();
        if (chunk.done) return controller.close();
        stalled = setTimeout(() => c.env?.outgoing?.destroy(), stallMs).unref();
        controller.enqueue(chunk.value);
      },
      cancel() {
        clearTimeout(stalled);
        void source.return?.(); // takes effect with the next chunk
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: unsentBytes }),
  );
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
