// What every route works with: the engine, the settings, and what the request said before its body.

import type { Context } from "hono";
import type { Engine, ModelCard } from "../protocol.ts";
import type { AnswerStore } from "./answers.ts";
import { ApiError } from "./api-error.ts";
import type { Repeatable } from "./idempotency.ts";
import type { HttpSettings } from "./settings.ts";

export interface HttpEnv {
  Bindings: {
    /** Absent where a Request is handed to the app without a server. */
    readonly outgoing?: import("node:http").ServerResponse;
  };
  Variables: {
    requestId: string;
    /** The name of the caller's key; "" where none is needed. */
    key: string;
    /** What the log has of the body. */
    logged: Record<string, unknown>;
    /** The body, where it was read before the route. */
    body: Buffer | undefined;
    /** Set where the same request may come again. */
    repeat: Repeatable | undefined;
  };
}

export type HttpContext = Context<HttpEnv>;

export interface Service {
  readonly engine: Engine;
  readonly settings: HttpSettings;
  /** Where answers are kept for requests that are repeated; in this process if absent. */
  readonly answers?: AnswerStore;
}

/** The model that is asked for, the first if none is named. Throws a 404. */
export function findModel({ engine }: Service, id: string | undefined): ModelCard {
  const model = id === undefined ? engine.models[0] : engine.models.find((card) => card.id === id);
  if (model) return model;
  const names = engine.models.map((card) => card.id).join(", ");
  throw new ApiError(404, `There is no model ${JSON.stringify(id?.slice(0, 200))}; there is ${names}`, {
    param: "model",
    code: "model_not_found",
  });
}

/** Facts about a model, which are known once it was loaded: waits for that. */
export async function factsOf(service: Service, model: ModelCard) {
  if (!model.facts) await service.engine.ready;
  const { facts } = findModel(service, model.id);
  if (facts) return facts;
  throw new ApiError(503, "The model is being loaded; try again soon", { headers: { "retry-after": "1" } });
}
