// Every route: what it is for, what it reads, who answers. The router, the 405s and /openapi.json come from this table.

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
  /** Bodies by their type; `binary` is a file. */
  readonly reads?: Readonly<Record<string, z.ZodType | "binary">>;
  /** Types of the answer. */
  readonly gives: readonly string[];
  readonly run: (service: Service, c: HttpContext) => Response | Promise<Response>;
}

const JSON_TYPE = "application/json";
const JSON_OR_EVENTS = [JSON_TYPE, "text/event-stream"];

export const routes: readonly Route[] = [
  { method: "get", path: "/livez", about: "whether the process answers", gives: [JSON_TYPE], run: livez },
  { method: "get", path: "/readyz", about: "whether a model is loaded", gives: [JSON_TYPE], run: readyz },
  { method: "get", path: "/health", about: "as /readyz", gives: [JSON_TYPE], run: readyz },
  { method: "get", path: "/v1/models", about: "the models", gives: [JSON_TYPE], run: listModels },
  { method: "get", path: "/v1/models/:id{.+}", about: "one model", gives: [JSON_TYPE], run: showModel },
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
    about: "answers a conversation, in the form of OpenAI's Responses",
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
    about: "changes an image, all of it or where a mask says",
    reads: { "multipart/form-data": editSchema },
    gives: JSON_OR_EVENTS,
    run: editImage,
  },
  {
    method: "post",
    path: "/v1/images/tokenize",
    about: "an image as codes",
    reads: { [JSON_TYPE]: tokenizeSchema, "image/png": "binary", "image/jpeg": "binary", "image/webp": "binary" },
    gives: [JSON_TYPE, "application/x-npy"],
    run: tokenize,
  },
  {
    method: "post",
    path: "/v1/images/detokenize",
    about: "the image of codes",
    reads: { [JSON_TYPE]: detokenizeSchema, "application/x-npy": "binary" },
    gives: [JSON_TYPE, "image/png"],
    run: detokenize,
  },
  {
    method: "post",
    path: "/v1/embeddings",
    about: "vectors of images",
    reads: { [JSON_TYPE]: embeddingSchema },
    gives: [JSON_TYPE],
    run: embed,
  },
];
