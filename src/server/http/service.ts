// The context of every route: the engine, the settings and the request's variables.

import type { Context } from "hono";
import { quote } from "../../errors.ts";
import type { Engine, ModelCard } from "../protocol.ts";
import type { AnswerStore } from "./answers.ts";
import { ApiError } from "./api-error.ts";
import type { Repeatable } from "./idempotency.ts";
import type { HttpSettings } from "./settings.ts";

export interface HttpEnv {
  Bindings: {
    /** Absent if the app is called without a server. */
    readonly outgoing?: import("node:http").ServerResponse;
  };
  Variables: {
    requestId: string;
    /** A hash of the caller's key; "" if no keys are required. */
    key: string;
    /** Additional fields for the log. */
    logged: Record<string, unknown>;
    /** The body, if it was already read. */
    body: Buffer | undefined;
    /** Set if the request has an Idempotency-Key. */
    repeat: Repeatable | undefined;
  };
}

export type HttpContext = Context<HttpEnv>;

export interface Service {
  readonly engine: Engine;
  readonly settings: HttpSettings;
  /** The store of answers for retried requests; in memory if absent. */
  readonly answers?: AnswerStore;
}

/** The requested model; the first if none is named. Throws a 404. */
export function findModel({ engine }: Service, id: string | undefined): ModelCard {
  const model = id === undefined ? engine.models[0] : engine.models.find((card) => card.id === id);
  if (model) return model;
  const names = engine.models.map((card) => card.id).join(", ");
  throw new ApiError(404, `There is no model ${quote(id)}; there is ${names}`, {
    param: "model",
    code: "model_not_found",
  });
}

/** Details of a model. Waits until it is loaded. */
export async function factsOf(service: Service, model: ModelCard) {
  if (!model.facts) await service.engine.ready;
  const { facts } = findModel(service, model.id);
  if (facts) return facts;
  throw new ApiError(503, "The model is being loaded; try again soon", { headers: { "retry-after": "1" } });
}
