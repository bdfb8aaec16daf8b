// /openapi.json: the table of routes and the schemas that check bodies, as OpenAPI 3.1.

import * as z from "zod";
import { version } from "../../version.ts";
import { publicPaths } from "./access.ts";
import type { Route } from "./routes.ts";

const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

/** The document as an object. */
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
      schemas: { Error: jsonSchema(errorSchema) },
    },
  };
}

function operation({ path, about, reads, gives }: Route): unknown {
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
  const failure = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
  return {
    summary: about,
    ...(names.length > 0 && {
      parameters: names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    }),
    ...(reads && {
      requestBody: { required: true, content: mapValues(reads, (body) => ({ schema: bodySchema(body) })) },
    }),
    responses: {
      200: { description: "done", content: Object.fromEntries(gives.map((type) => [type, {}])) },
      default: { description: "failed", content: failure },
    },
    ...(!publicPaths.has(path) && { security: [{}, { key: [] }] }),
  };
}

function bodySchema(body: z.ZodType | "binary"): unknown {
  return body === "binary" ? { type: "string", format: "binary" } : jsonSchema(body);
}

/** Files, which JSON has not, are binary texts as OpenAPI's forms have them. */
function jsonSchema(schema: z.ZodType): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function mapValues<T, U>(object: Readonly<Record<string, T>>, to: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, to(value)]));
}
