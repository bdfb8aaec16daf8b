// POST /v1/images/generations and /v1/images/edits: images as base64, whole or streamed with previews.

import type { EngineEvent, EngineRequest, ModelCard } from "../protocol.ts";
import type { ApiError } from "./api-error.ts";
import { readForm, readJson } from "./body.ts";
import { base64 } from "./chat.ts";
import { event as line } from "./event-stream.ts";
import { codesOf } from "./image-codes.ts";
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
type End = Extract<EngineEvent, { type: "end" }>;

export async function generateImages(service: Service, c: HttpContext): Promise<Response> {
  const body = await readImageBody(service, await readJson(c, service.settings.limits));
  const model = findModel(service, body.model);
  const own = await checkDrawing(service, model, body.size);
  const requests = generationRequests(body);
  return respond(service, c, { ...own, model, body, requests, name: "image_generation", param: "prompt" });
}

export async function editImage(service: Service, c: HttpContext): Promise<Response> {
  const fields = await readForm(c, service.settings.limits);
  const body = await readImageBody(service, formBody(fields));
  const model = findModel(service, body.model);
  const own = await checkDrawing(service, model, body.size);
  const requests = await editRequests(service, body, fields);
  const param = fields.has("codes") ? "codes" : "image";
  return respond(service, c, { ...own, model, body, requests, name: "image_edit", param });
}

interface Drawing {
  readonly model: ModelCard;
  readonly body: ImageBody;
  readonly size: string;
  /** Number of positions in an image's grid. */
  readonly positions: number;
  readonly requests: readonly EngineRequest[];
  /** Prefix of the event names. */
  readonly name: "image_generation" | "image_edit";
  /** The field to name in the engine's errors. */
  readonly param: string;
}

async function respond(
  service: Service,
  c: HttpContext,
  { model, body, size, positions, requests, name, param }: Drawing,
): Promise<Response> {
  if (service.settings.logPrompts) c.set("logged", { ...c.get("logged"), prompt: body.prompt });
  const work = begin(service, c, model, requests);
  if (body.stream) return respondStream(service, c, work, new ImageEncoder(name, size, positions), param);
  const answers = await gather(work, param);
  const data = answers.map((events) => dataOf(only(events, "image")));
  const usage = usageOf(
    answers.map((events) => only(events, "end")),
    positions,
  );
  return c.json({ ...facts(size), created: now(), data, usage });
}

/** An image as base64 with its seed, codes and receipt, if any. */
export function dataOf({ png, seed, codes, receipt }: ImageEvent): Record<string, unknown> {
  return { b64_json: base64(png), seed, codes: codesOf(codes), ...(receipt !== undefined && { receipt }) };
}

/** Usage of the images of one prompt: the prompt counts once, the output adds up. Every input image counts `positions`. */
function usageOf(ends: readonly End[], positions: number) {
  const [{ promptTokens, imagesIn }] = ends.map(({ usage }) => usage) as [End["usage"]];
  const output = ends.reduce((sum, { usage }) => sum + usage.completionTokens, 0);
  const images = imagesIn * positions;
  return {
    input_tokens: promptTokens,
    input_tokens_details: { image_tokens: images, text_tokens: promptTokens - images },
    output_tokens: output,
    output_tokens_details: { image_tokens: output, text_tokens: 0 },
    total_tokens: promptTokens + output,
  };
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
  readonly #positions: number;
  /** Images whose usage has not arrived yet. */
  readonly #images = new Map<number, ImageEvent>();

  constructor(name: string, size: string, positions: number) {
    this.#name = name;
    this.#size = size;
    this.#positions = positions;
  }

  encode({ index, event }: IndexedEvent): string {
    if (event.type === "preview") {
      return this.#line("partial_image", { b64_json: base64(event.png), partial_image_index: event.index });
    }
    if (event.type === "image") this.#images.set(index, event);
    if (event.type !== "end") return "";
    const image = this.#images.get(index)!;
    this.#images.delete(index);
    return this.#line("completed", { ...dataOf(image), usage: usageOf([event], this.#positions) });
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
