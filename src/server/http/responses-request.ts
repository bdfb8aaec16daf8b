// The body of /v1/responses, and its engine requests. Nothing is stored: clients send the whole conversation each time.

import * as z from "zod";
import type { EngineRequest, ModelCard, WireMessage, WirePart } from "../protocol.ts";
import { badField } from "./api-error.ts";
import {
  answerFields,
  answerRequests,
  asContent,
  ImageReader,
  loggable,
  unsupportedInAnswers,
} from "./chat-request.ts";
import { type Body, check, integer, is, isNothing, oneOf, text, type Unsupported } from "./fields.ts";
import { codesSchema } from "./image-codes.ts";
import { factsOf, type HttpContext, type Service } from "./service.ts";

const itemTypes = '"message" or "image_generation_call"';

const textPart = z.looseObject({ type: z.enum(["input_text", "output_text"]), text });
const imagePart = z.looseObject({
  type: z.literal("input_image"),
  image_url: text.describe("a data: URL of a PNG, JPEG or WebP"),
});

const message = z.looseObject({
  type: z.literal("message", { error: itemTypes }).optional(),
  role: oneOf("system", "developer", "user", "assistant"),
  content: z.union(
    [
      text,
      z.array(
        z.discriminatedUnion("type", [textPart, imagePart], {
          error: "a part of the type input_text, output_text or input_image",
        }),
      ),
    ],
    { error: "a string or a list of parts" },
  ),
});

/** An image of an earlier answer, sent back. */
const drawnImage = z.looseObject({
  type: z.literal("image_generation_call", { error: itemTypes }),
  result: text.describe("the image as base64"),
  codes: codesSchema.describe("extension: the image's codes, used instead of `result`").nullish(),
});

const item = z.union([message, drawnImage], { error: "a message or an image_generation_call" });

export const responsesSchema = z.looseObject({
  ...answerFields,
  input: z.union([text, z.array(item).min(1, { error: "a list of at least one item" })], {
    error: "a string or a list of items",
  }),
  instructions: text.optional(),
  max_output_tokens: integer(1, 1_000_000).optional(),
  modalities: z
    .array(oneOf("text", "image"), { error: 'a list of "text" and "image"' })
    .describe("extension: as in /v1/chat/completions")
    .optional(),
  tools: z
    .array(
      z.looseObject({
        type: z.literal("image_generation", { error: '"image_generation", the only tool' }),
        partial_images: integer(0, 3).describe("previews of each image, when streamed").optional(),
      }),
      { error: "a list of tools" },
    )
    .describe('[{ "type": "image_generation" }] allows images in the answer')
    .default([]),
  top_logprobs: integer(0, 20).optional(),
  include: z.array(text).default([]),
});

export type ResponsesBody = z.output<typeof responsesSchema>;

const unsupported: Unsupported = {
  ...unsupportedInAnswers,
  previous_response_id: [isNothing, "nothing is stored; send the conversation in `input`"],
  conversation: [isNothing, "nothing is stored; send the conversation in `input`"],
  background: [isNothing, "nothing is stored; read the answer as it comes"],
  prompt: [isNothing, "nothing is stored; send the conversation in `input`"],
  tool_choice: [is("none", "auto"), "the model decides whether it draws"],
  text: [
    (value) => ((value as { format?: { type?: unknown } }).format?.type ?? "text") === "text",
    "answers are plain text",
  ],
  truncation: [is("disabled"), "a conversation that is too long is rejected"],
  stop: [isNothing, "/v1/chat/completions has it"],
};

export function readResponsesBody(body: Body): ResponsesBody {
  const { tools } = body;
  // Clearer than the schema's error about the first tool.
  if (Array.isArray(tools) && tools.some((tool) => (tool as { type?: unknown } | null)?.type !== "image_generation"))
    throw badField("tools", '`tools` is not supported, other than { "type": "image_generation" }', "unsupported_value");
  return check(responsesSchema, body, unsupported);
}

/** Whether the body requests logprobs, in the way of the Responses API. */
export function wantsLogprobs({ include, top_logprobs }: ResponsesBody): boolean {
  return include.includes("message.output_text.logprobs") || top_logprobs !== undefined;
}

export async function responsesRequests(
  service: Service,
  c: HttpContext,
  model: ModelCard,
  body: ResponsesBody,
): Promise<EngineRequest[]> {
  const facts = await factsOf(service, model);
  const wantsImages = body.tools.length > 0 || body.modalities?.includes("image") === true;
  if (!facts.canChat) throw badField("model", `${model.id} has no language model`, "unsupported_value");
  if (wantsImages && !facts.canImagine) throw badField("tools", `${model.id} draws no images`, "unsupported_value");
  const messages = await readMessages(new ImageReader(service, c), body);
  if (service.settings.logPrompts) c.set("logged", { ...c.get("logged"), messages: messages.map(loggable) });
  const wish = {
    messages,
    mayDraw: wantsImages,
    count: 1,
    maxTokens: body.max_output_tokens,
    topLogprobs: wantsLogprobs(body) ? (body.top_logprobs ?? 0) : undefined,
    previews: body.stream ? body.tools.find(({ partial_images }) => partial_images)?.partial_images : undefined,
  };
  return answerRequests(body, wish, facts.context);
}

/** The items as messages. Consecutive items of one role become one message, as the text and images of an answer were. */
async function readMessages(images: ImageReader, { instructions, input }: ResponsesBody): Promise<WireMessage[]> {
  const turns: { role: WireMessage["role"]; parts: WirePart[] }[] = [];
  const add = (role: WireMessage["role"], parts: readonly WirePart[]) => {
    const last = turns.at(-1);
    if (last?.role === role && role === "assistant") last.parts.push(...parts);
    else turns.push({ role, parts: [...parts] });
  };
  if (instructions !== undefined) add("system", [{ type: "text", text: instructions }]);
  if (typeof input === "string") add("user", [{ type: "text", text: input }]);
  else {
    for (const [i, item] of input.entries()) {
      if ("result" in item && item.type === "image_generation_call") {
        const { result, codes } = item as z.output<typeof drawnImage>;
        const image = codes
          ? await images.read({ codes }, `input[${i}]`)
          : await images.readUrl(`data:image/png;base64,${result}`, `input[${i}].result`);
        add("assistant", [image]);
        continue;
      }
      const { role, content } = item as z.output<typeof message>;
      const parts: WirePart[] = [];
      for (const [k, part] of (typeof content === "string" ? [] : content).entries()) {
        if (part.type === "input_image") {
          parts.push(await images.readUrl(part.image_url, `input[${i}].content[${k}].image_url`));
        } else parts.push({ type: "text", text: part.text });
      }
      if (typeof content === "string") parts.push({ type: "text", text: content });
      add(role === "developer" ? "system" : role, parts);
    }
  }
  return turns.map(({ role, parts }) => ({ role, content: asContent(parts) }));
}
