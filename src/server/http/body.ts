// Request bodies. Bytes are counted as they arrive, before parsing, whatever the Content-Length says.

import type { Context } from "hono";
import { ApiError } from "./api-error.ts";
import { parseJson } from "./json.ts";
import type { Limits } from "./settings.ts";

/** Reads the body. Throws a 413 as soon as it exceeds the limit. */
export async function readBody(c: Context, { bodyBytes }: Limits): Promise<Buffer> {
  const known = c.get("body") as Buffer | undefined;
  if (known) return known;
  const { body, headers } = c.req.raw;
  if ((headers.get("content-encoding") ?? "identity") !== "identity") {
    throw new ApiError(415, "Compressed bodies are not supported; send it without Content-Encoding");
  }
  const declared = Number(headers.get("content-length") ?? 0);
  if (declared > bodyBytes) throw tooLarge(bodyBytes);
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
      total += chunk.byteLength;
      if (total > bodyBytes) throw tooLarge(bodyBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, "The body ended before it was complete", { cause: error });
  }
  return Buffer.concat(chunks, total);
}

const DISCARD_MS = 2000;

/**
 * Reads and discards what a rejected client still sends, for a while and within the limit. If the socket were closed earlier, many clients
 * would report a lost connection instead of the answer.
 */
export async function discardBody(c: Context, { bodyBytes }: Limits): Promise<void> {
  const { body, bodyUsed, headers } = c.req.raw;
  if (!body || bodyUsed || body.locked || Number(headers.get("content-length") ?? 0) > bodyBytes) return;
  const reader = body.getReader();
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), DISCARD_MS);
  try {
    let total = 0;
    for (let part = await reader.read(); !part.done && total <= bodyBytes; part = await reader.read()) {
      total += part.value.byteLength;
    }
  } catch {
    // The client has gone.
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(bytes: number): ApiError {
  return new ApiError(413, `The body has more than ${bytes} bytes`, {
    code: "body_too_large",
    headers: { connection: "close" },
  });
}

/** "application/json" of "application/json; charset=utf-8". */
export function mediaType(c: Context): string {
  return (c.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/**
 * Throws a 415 unless the body has one of these types. Web pages of other origins can send some types without a preflight request, but not
 * JSON.
 */
export function needType(c: Context, types: readonly string[]): string {
  const type = mediaType(c);
  if (types.includes(type)) return type;
  const got = type === "" ? "there is none" : `got ${type.slice(0, 100)}`;
  throw new ApiError(415, `Expected a Content-Type of ${types.join(" or ")}, ${got}`, {
    code: "unsupported_media_type",
  });
}

/** A JSON object. Throws an ApiError for anything else. */
export async function readJson(c: Context, limits: Limits): Promise<Readonly<Record<string, unknown>>> {
  needType(c, ["application/json"]);
  const value = parseJson(await readBody(c, limits), limits);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ApiError(400, "Expected the body to be a JSON object", { code: "invalid_json" });
}

/** The separator between the parts of a form. */
export function boundaryOf(c: Context): string | undefined {
  const type = c.req.header("content-type") ?? "";
  const [, quoted, plain] = /boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(type) ?? [];
  return quoted ?? plain;
}

/** More than any image client sends. */
const MAX_PARTS = 64;

/** The fields of a multipart form, each with a list of values. Throws an ApiError for anything else. */
export async function readForm(c: Context, limits: Limits): Promise<Map<string, (string | File)[]>> {
  needType(c, ["multipart/form-data"]);
  const bytes = await readBody(c, limits);
  const type = c.req.header("content-type")!;
  const boundary = boundaryOf(c);
  const broken = (cause?: unknown) =>
    new ApiError(400, "The body is not a multipart form", { code: "invalid_form", cause });
  if (boundary === undefined) throw broken();
  let parts = 0;
  for (let at = bytes.indexOf(boundary); at >= 0; at = bytes.indexOf(boundary, at + boundary.length)) {
    if (++parts > MAX_PARTS)
      throw new ApiError(400, `The form has more than ${MAX_PARTS} parts`, { code: "invalid_form" });
  }
  const form = await new Response(new Uint8Array(bytes), { headers: { "content-type": type } })
    .formData()
    .catch((cause) => {
      throw broken(cause);
    });
  const fields = new Map<string, (string | File)[]>();
  for (const [name, value] of form) fields.set(name, [...(fields.get(name) ?? []), value]);
  return fields;
}
