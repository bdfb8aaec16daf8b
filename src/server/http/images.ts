// POST /v1/images/generations and /v1/images/edits: images as base64, whole or as a stream with images on the way.

import type { EngineEvent, EngineRequest, ModelCard } from "../protocol.ts";
import type { ApiError } from "./api-error.ts";
import { readForm, readJson } from "./body.ts";
import { base64 } from "./chat.ts";
import { event as line } from "./event-stream.ts";
import {
  checkDrawing,
  editRequests,
  formBody,
  generationRequests,
  type ImageBody,
  readImageBody,
} from "./image-request.ts";
import { findModel, type HttpContext, type Service } from "./service.ts";
import { begin, type Encoder, gather, type IndexedEvent, only, respondStream } from "./work.ts";

type ImageEvent = Extract<EngineEvent, { type: "image" }>;

export async function generateImages(service: Service, c: HttpContext): Promise<Response> {
  const body = await readImageBody(service, await readJson(c, service.settings.limits));
  const model = findModel(service, body.model);
  const size = await checkDrawing(service, model, body.size);
  return respond(service, c, { model, body, size, requests: generationRequests(body), name: "image_generation" });
}

export async function editImage(service: Service, c: HttpContext): Promise<Response> {
  const fields = await readForm(c, service.settings.limits);
  const body = await readImageBody(service, formBody(fields));
  const model = findModel(service, body.model);
  const size = await checkDrawing(service, model, body.size);
  return respond(service, c, {
    model,
    body,
    size,
    requests: await editRequests(service, body, fields),
    name: "image_edit",
  });
}

interface Drawing {
  readonly model: ModelCard;
  readonly body: ImageBody;
  readonly size: string;
  readonly requests: readonly EngineRequest[];
  /** What its events are called. */
  readonly name: "image_generation" | "image_edit";
}

async function respond(
  service: Service,
  c: HttpContext,
  { model, body, size, requests, name }: Drawing,
): Promise<Response> {
  if (service.settings.logPrompts) c.set("logged", { ...c.get("logged"), prompt: body.prompt });
  const param = name === "image_edit" ? "image" : "prompt";
  const work = begin(service, c, model, requests);
  if (body.stream) return respondStream(service, c, work, new ImageEncoder(name, size), param);
  const images = (await gather(work, param)).map((events) => only(events, "image"));
  return c.json({ ...facts(size), created: now(), data: images.map(dataOf) });
}

/** An image as base64, with its seed and, where it has one, its receipt. */
export function dataOf({ png, seed, receipt }: Pick<ImageEvent, "png" | "seed" | "receipt">): Record<string, unknown> {
  return { b64_json: base64(png), seed, ...(receipt !== undefined && { receipt }) };
}

function facts(size: string) {
  return { size, quality: "auto", background: "opaque", output_format: "png" };
}

export function now(): number {
  return Math.floor(Date.now() / 1000);
}

class ImageEncoder implements Encoder {
  readonly #name: string;
  readonly #size: string;

  constructor(name: string, size: string) {
    this.#name = name;
    this.#size = size;
  }

  encode({ event }: IndexedEvent): string {
    if (event.type === "preview") {
      return this.#line("partial_image", { b64_json: base64(event.png), partial_image_index: event.index });
    }
    return event.type === "image" ? this.#line("completed", dataOf(event)) : "";
  }

  #line(kind: string, fields: Readonly<Record<string, unknown>>): string {
    const type = `${this.#name}.${kind}`;
    return line({ type, ...fields, created_at: now(), ...facts(this.#size) }, type);
  }

  end(): string {
    return "";
  }

  fail(error: ApiError): string {
    return line({ type: "error", ...error.body }, "error");
  }
}
