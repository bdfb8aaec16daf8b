// From engine requests to a response with one or several answers, whole or streamed. All routes use this, so disconnects, deadlines and failures
// are handled the same everywhere.

import type { EngineEvent, EngineRequest, ModelCard } from "../protocol.ts";
import { ApiError, toApiError } from "./api-error.ts";
import { eventStream } from "./event-stream.ts";
import type { HttpContext, Service } from "./service.ts";

/** An event of one of several engine requests. */
export interface IndexedEvent {
  readonly index: number;
  readonly event: EngineEvent;
}

export interface Work {
  readonly events: AsyncGenerator<IndexedEvent, void, void>;
  /** Ends all the work. */
  readonly leave: (reason: Error) => void;
}

/**
 * Work that begins when its first event is requested. All of it ends if one request fails or the client disconnects. With an
 * Idempotency-Key it continues, since the client may come back.
 */
export function begin(service: Service, c: HttpContext, model: ModelCard, requests: readonly EngineRequest[]): Work {
  const { engine, settings } = service;
  const own = new AbortController();
  const repeat = c.get("repeat");
  const signal = repeat ? own.signal : AbortSignal.any([c.req.raw.signal, own.signal]);
  if (repeat) repeat.workIds = requests.map((_, i) => `${repeat.id}-${i}`);
  const { requestMs } = settings.limits;
  const options = { model: model.id, key: c.get("key"), signal, ...(requestMs && { deadlineMs: requestMs }) };
  const wanted = settings.receipts === false ? requests.map(withoutReceipt) : requests;
  const runs = wanted.map((request, i) => {
    const named = repeat ? { ...options, id: repeat.workIds[i]! } : options;
    return engine.run(request, named)[Symbol.asyncIterator]();
  });
  return { events: merge(runs, (reason) => own.abort(reason)), leave: (reason) => own.abort(reason) };
}

function withoutReceipt(request: EngineRequest): EngineRequest {
  return "options" in request
    ? ({ ...request, options: { ...request.options, receipt: false } } as EngineRequest)
    : request;
}

type Run = AsyncIterator<EngineEvent, unknown, unknown>;

async function* merge(
  runs: readonly Run[],
  abort: (reason: unknown) => void,
): AsyncGenerator<IndexedEvent, void, void> {
  const next = (index: number) => {
    const step = Promise.resolve(runs[index]!.next()).then((result) => ({ index, result }));
    step.catch(() => undefined); // it may fail before anyone waits for it; the next to wait gets the error
    return step;
  };
  const pending = new Map(runs.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await (pending.size === 1 ? [...pending.values()][0]! : Promise.race(pending.values()));
      if (result.done) pending.delete(index);
      else {
        yield { index, event: result.value };
        pending.set(index, next(index));
      }
    }
  } catch (error) {
    abort(error);
    throw error;
  } finally {
    for (const run of runs) run.return?.().catch(() => undefined);
  }
}

/** Encodes events as pieces of a stream, and an error as the last piece. */
export interface Encoder {
  encode(event: IndexedEvent): string;
  /** After the last event. */
  end(): string;
  fail(error: ApiError): string;
}

/** A streamed response. Its headers wait for the first event, so that an earlier failure has its own status. */
export async function respondStream(
  { settings }: Service,
  c: HttpContext,
  { events, leave }: Work,
  encoder: Encoder,
  param?: string,
): Promise<Response> {
  const first = await events.next().catch((error: unknown) => {
    throw toApiError(error, param);
  });
  const pieces = async function* () {
    try {
      if (!first.done) yield encoder.encode(first.value);
      for await (const event of events) yield encoder.encode(event);
      yield encoder.end();
    } catch (error) {
      const repeat = c.get("repeat");
      if (!repeat && c.req.raw.signal.aborted) return; // nobody reads
      if (repeat) repeat.hasFailed = true;
      const failure = toApiError(error, param);
      if (failure.status >= 500) settings.log.error({ err: error, requestId: c.get("requestId") }, "a stream failed");
      yield encoder.fail(failure);
    }
  };
  const { unsentBytes, stallMs } = settings.limits;
  const body = eventStream(pieces(), {
    unsentBytes,
    stallMs,
    leave: (reason) => {
      leave(reason);
      c.env?.outgoing?.destroy();
    },
    onEnd: () => undefined,
  });
  return c.body(body, 200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
  });
}

/** All events of each request, in the order of the requests. Throws an ApiError. */
export async function gather({ events }: Work, param?: string): Promise<EngineEvent[][]> {
  const all: EngineEvent[][] = [];
  try {
    for await (const { index, event } of events) {
      all[index] ??= [];
      all[index].push(event);
    }
  } catch (error) {
    throw toApiError(error, param);
  }
  return all;
}

/** The only event of a type. */
export function only<T extends EngineEvent["type"]>(
  events: readonly EngineEvent[],
  type: T,
): Extract<EngineEvent, { type: T }> {
  const found = events.find((event) => event.type === type);
  if (found) return found as Extract<EngineEvent, { type: T }>;
  throw new ApiError(500, "The engine gave no result", { code: "internal" });
}
