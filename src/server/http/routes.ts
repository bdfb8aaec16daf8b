// All routes. The router, the 405 errors and /openapi.json are derived from this table.

import type * as z from "zod";
import { chat } from "./chat.ts";
import { chatSchema } from "./chat-request.ts";
import { detokenize, detokenizeSchema, tokenize, tokenizeSchema } from "./codes.ts";
import { embed, embeddingSchema } from "./embeddings.ts";
import { livez, readyz } from "./health.ts";
import { editSchema, imageSchema } from "./image-request.ts";
import { editImage, generateImages } from "./images.ts";
import { listModels, showModel } from "./models.ts";
import { respond } from "./responses.ts";
import { responsesSchema } from "./responses-request.ts";
import type { HttpContext, Service } from "./service.ts";

export interface Route {
  readonly method: "get" | "post";
  readonly path: string;
  readonly about: string;
  /** Schemas of the body by content type; `binary` is a file. */
  readonly reads?: Readonly<Record<string, z.ZodType | "binary">>;
  /** Content types of the answer. */
  readonly gives: readonly string[];
  readonly run: (service: Service, c: HttpContext) => Response | Promise<Response>;
}

const JSON_TYPE = "application/json";
const JSON_OR_EVENTS = [JSON_TYPE, "text/event-stream"];

export const routes: readonly Route[] = [
  { method: "get", path: "/livez", about: "whether the process is alive", gives: [JSON_TYPE], run: livez },
  { method: "get", path: "/readyz", about: "whether a model is ready", gives: [JSON_TYPE], run: readyz },
  { method: "get", path: "/health", about: "the same as /readyz", gives: [JSON_TYPE], run: readyz },
  { method: "get", path: "/v1/models", about: "lists the models", gives: [JSON_TYPE], run: listModels },
  { method: "get", path: "/v1/models/:id{.+}", about: "describes a model", gives: [JSON_TYPE], run: showModel },
  {
    method: "post",
    path: "/v1/chat/completions",
    about: "answers a conversation",
    reads: { [JSON_TYPE]: chatSchema },
    gives: JSON_OR_EVENTS,
    run: chat,
  },
  {
    method: "post",
    path: "/v1/responses",
    about: "answers a conversation, as OpenAI's Responses API",
    reads: { [JSON_TYPE]: responsesSchema },
    gives: JSON_OR_EVENTS,
    run: respond,
  },
  {
    method: "post",
    path: "/v1/images/generations",
    about: "draws images from a prompt",
    reads: { [JSON_TYPE]: imageSchema },
    gives: JSON_OR_EVENTS,
    run: generateImages,
  },
  {
    method: "post",
    path: "/v1/images/edits",
    about: "edits an image, all of it or only under a mask",
    reads: { "multipart/form-data": editSchema },
    gives: JSON_OR_EVENTS,
    run: editImage,
  },
  {
    method: "post",
    path: "/v1/images/tokenize",
    about: "converts an image to codes",
    reads: { [JSON_TYPE]: tokenizeSchema, "image/png": "binary", "image/jpeg": "binary", "image/webp": "binary" },
    gives: [JSON_TYPE, "application/x-npy"],
    run: tokenize,
  },
  {
    method: "post",
    path: "/v1/images/detokenize",
    about: "converts codes to an image",
    reads: { [JSON_TYPE]: detokenizeSchema, "application/x-npy": "binary" },
    gives: [JSON_TYPE, "image/png"],
    run: detokenize,
  },
  {
    method: "post",
    path: "/v1/embeddings",
    about: "embeds images",
    reads: { [JSON_TYPE]: embeddingSchema },
    gives: [JSON_TYPE],
    run: embed,
  },
];
