// POST /v1/embeddings: vectors of images given as data: URLs.

import * as z from "zod";
import { badField } from "./api-error.ts";
import { readJson } from "./body.ts";
import { base64 } from "./chat.ts";
import { ImageReader } from "./chat-request.ts";
import { check, integer, modelField, oneOf, words } from "./fields.ts";
import { factsOf, findModel, type HttpContext, type Service } from "./service.ts";
import { begin, gather, only } from "./work.ts";

export const embeddingSchema = z.looseObject({
  ...modelField,
  input: z
    .union([words.transform((one) => [one]), z.array(words).min(1, { error: "a list of at least one image" })], {
      error: "an image as a data: URL, or a list of such images",
    })
    .describe("images as data: URLs"),
  encoding_format: oneOf("float", "base64").default("float"),
  dimensions: integer(1, 1_000_000).optional(),
});

export async function embed(service: Service, c: HttpContext): Promise<Response> {
  const body = check(embeddingSchema, await readJson(c, service.settings.limits));
  const model = findModel(service, body.model);
  const { canEmbed, width } = await factsOf(service, model);
  if (!canEmbed) throw badField("model", `${model.id} cannot embed images`, "unsupported_value");
  const { dimensions = width, encoding_format } = body;
  if (dimensions !== width)
    throw badField("dimensions", `The vectors of this model have ${width} dimensions`, "unsupported_value");
  const reader = new ImageReader(service, c);
  const requests = [];
  for (const [i, url] of body.input.entries()) {
    if (!/^(data|https?):/i.test(url))
      throw badField(`input[${i}]`, "Expected an image as a data: URL; text is not embedded");
    const { image } = await reader.readUrl(url, `input[${i}]`);
    requests.push({ kind: "embed", image } as const);
  }
  const answers = await gather(begin(service, c, model, requests), "input");
  const tokens = answers.reduce((sum, events) => sum + only(events, "end").usage.promptTokens, 0);
  const vectors = answers.map((events) => only(events, "vector").vector);
  const data = vectors.map((vector, index) => ({
    object: "embedding",
    index,
    embedding:
      encoding_format === "base64"
        ? base64(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
        : [...vector],
  }));
  return c.json({ object: "list", data, model: model.id, usage: { prompt_tokens: tokens, total_tokens: tokens } });
}
