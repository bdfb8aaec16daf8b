// GET /v1/models and /v1/models/{id}.

import type { ModelCard } from "../protocol.ts";
import { findModel, type HttpContext, type Service } from "./service.ts";

export function listModels({ engine }: Service, c: HttpContext): Response {
  return c.json({ object: "list", data: engine.models.map(entry) });
}

/** Ids may contain slashes, as on the Hub. */
export function showModel(service: Service, c: HttpContext): Response {
  return c.json(entry(findModel(service, c.req.param("id"))));
}

function entry({ id, created, facts }: ModelCard): unknown {
  return { id, object: "model", created, owned_by: "kelix", ...(facts && { kelix: facts }) };
}
