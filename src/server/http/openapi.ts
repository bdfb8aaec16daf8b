// /openapi.json: the routes and the schemas that validate their bodies, as OpenAPI 3.1.

import * as z from "zod";
import { version } from "../../version.ts";
import { publicPaths } from "./access.ts";
import { MOST_KEY_CHARACTERS } from "./idempotency.ts";
import type { Route } from "./routes.ts";

const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "a repeated request with the same key gets the answer of the first; another request with it gets 422",
  schema: { type: "string", minLength: 1, maxLength: MOST_KEY_CHARACTERS },
};
const idempotentReplayed = {
  description: "true if the answer is that of an earlier request with the same Idempotency-Key",
  schema: { type: "string", enum: ["true"] },
};

/** The document, as a plain object. */
export function openApi(routes: readonly Route[]): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
    paths[path] = { ...paths[path], [route.method]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Kelix", version },
    paths,
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
      parameters: { IdempotencyKey: idempotencyKey },
      headers: { IdempotentReplayed: idempotentReplayed },
      schemas: { Error: jsonSchema(errorSchema) },
    },
  };
}

function operation({ method, path, about, reads, gives }: Route): unknown {
  const mayRepeat = method === "post";
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
    })),
    ...(mayRepeat ? [{ $ref: "#/components/parameters/IdempotencyKey" }] : []),
  ];
  const headers = { "Idempotent-Replayed": { $ref: "#/components/headers/IdempotentReplayed" } };
  const failure = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
  return {
    summary: about,
    ...(parameters.length > 0 && { parameters }),
    ...(reads && {
      requestBody: { required: true, content: mapValues(reads, (body) => ({ schema: bodySchema(body) })) },
    }),
    responses: {
      200: {
        description: "done",
        ...(mayRepeat && { headers }),
        content: Object.fromEntries(gives.map((type) => [type, {}])),
      },
      default: { description: "failed", content: failure },
    },
    ...(!publicPaths.has(path) && { security: [{}, { key: [] }] }),
  };
}

function bodySchema(body: z.ZodType | "binary"): unknown {
  return body === "binary" ? { type: "string", format: "binary" } : jsonSchema(body);
}

/** A JSON schema; files are binary strings, as in OpenAPI's forms. */
function jsonSchema(schema: z.ZodType): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function mapValues<T, U>(object: Readonly<Record<string, T>>, to: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, to(value)]));
}
