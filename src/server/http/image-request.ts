// The bodies of /v1/images/generations (JSON) and /v1/images/edits (a form, in which numbers are strings).

import * as z from "zod";
import { quote } from "../../errors.ts";
import { maskOf } from "../../image/alpha-mask.ts";
import type { CodesInput } from "../../vision/image-codes.ts";
import type { EngineRequest, ModelCard } from "../protocol.ts";
import { badField } from "./api-error.ts";
import { anySeed, checkCount, drawn, nthSeed } from "./chat-request.ts";
import {
  type Body,
  check,
  drawingFields,
  flag,
  integer,
  is,
  isNothing,
  modelField,
  oneOf,
  samplingFields,
  text,
  type Unsupported,
  words,
} from "./fields.ts";
import { readImageFile } from "./given-image.ts";
import { readCodesText } from "./image-codes.ts";
import { factsOf, type Service } from "./service.ts";

export const imageSchema = z.looseObject({
  ...modelField,
  ...samplingFields,
  ...drawingFields,
  prompt: words,
  n: integer(1, 128).default(1),
  size: text.describe('"auto", or the size of the model\'s images, such as "96x96"').default("auto"),
  response_format: oneOf("b64_json").default("b64_json"),
  stream: flag.default(false),
  partial_images: integer(0, 3).describe("previews of each image, when streamed").default(0),
});

/** The files of a form, for the API's description. */
export const editSchema = imageSchema.extend({
  image: z.file().describe("one PNG, JPEG or WebP; may be named image[]").optional(),
  codes: text.describe("extension: the image's codes { grid, codes } as JSON, used instead of `image`").optional(),
  mask: z.file().describe("the transparent part is rewritten; without transparency, the white part").optional(),
});

export type ImageBody = z.output<typeof imageSchema>;

const unsupported: Unsupported = {
  negative_prompt: [isNothing, "describe what is wanted instead"],
  response_format: [is("b64_json"), 'images come as "b64_json"; the server keeps none to link to'],
  output_format: [is("png"), "images are PNG files"],
  output_compression: [is(100), "images are PNG files"],
  background: [is("auto", "opaque"), "images are opaque"],
};

/** Form fields that are numbers or booleans. */
const numbers = [
  "n",
  "partial_images",
  "seed",
  "guidance_scale",
  "num_inference_steps",
  "temperature",
  "top_p",
  "top_k",
];

/** A form's fields, without its files, as a JSON body would have them. */
export function formBody(fields: ReadonlyMap<string, readonly (string | File)[]>): Body {
  const body: Record<string, unknown> = {};
  for (const [name, [value]] of fields) {
    if (typeof value !== "string") continue;
    const isNumber = numbers.includes(name) && value.trim() !== "" && Number.isFinite(Number(value));
    if (isNumber) body[name] = Number(value);
    else if (name === "stream" && /^(true|false)$/i.test(value)) body[name] = value.toLowerCase() === "true";
    else if (value !== "") body[name] = value;
  }
  return body;
}

export async function readImageBody(service: Service, body: Body): Promise<ImageBody> {
  const read = check(imageSchema, body, unsupported);
  checkCount(read.n, service);
  if (read.partial_images > 0 && !read.stream)
    throw badField("partial_images", "`partial_images` needs `stream` to be true");
  return read;
}

/** The size and grid of the model's images. Throws a 400 unless the model draws images of the requested size. */
export async function checkDrawing(service: Service, model: ModelCard, size: string) {
  const { imageSize, grid, canImagine } = await factsOf(service, model);
  if (!canImagine || !imageSize) throw badField("model", `${model.id} draws no images`, "unsupported_value");
  const own = imageSize.join("x");
  if (size === "auto" || size === own) return { size: own, positions: grid[0] * grid[1] };
  throw badField(
    "size",
    `Expected \`size\` to be "auto" or "${own}", the size of this model's images, got ${quote(size)}`,
    "unsupported_value",
  );
}

/** The options of one image, and its number of previews. */
export function imageOptions(body: ImageBody, i: number, firstSeed: number) {
  const { temperature, top_p, top_k, num_inference_steps, guidance_scale, partial_images } = body;
  return {
    options: {
      ...drawn(temperature, top_p, top_k),
      seed: nthSeed(firstSeed, i),
      ...(num_inference_steps !== undefined && { steps: num_inference_steps }),
      ...(guidance_scale !== undefined && { guidance: guidance_scale }),
    },
    ...(partial_images > 0 && { previews: partial_images }),
  };
}

export function generationRequests(body: ImageBody): EngineRequest[] {
  const { prompt, seed = anySeed() } = body;
  return Array.from({ length: body.n }, (_, i) => ({ kind: "imagine", prompt, ...imageOptions(body, i, seed) }));
}

type Form = ReadonlyMap<string, readonly (string | File)[]>;

/** Throws a 400 unless the form has exactly one image. */
export async function editRequests(service: Service, body: ImageBody, fields: Form): Promise<EngineRequest[]> {
  const image = await readEdited(service, fields);
  const mask = fields.get("mask")?.[0];
  if (mask !== undefined && !(mask instanceof Blob))
    throw badField("mask", "Expected `mask` to be a file, got a string");
  const masked = mask && { mask: await maskOf(await readImageFile(mask, "mask", service.settings)) };
  const { prompt, seed = anySeed() } = body;
  return Array.from({ length: body.n }, (_, i) => {
    return { kind: "edit", image, ...masked, prompt, ...imageOptions(body, i, seed) };
  });
}

/** The source image: codes or a file. */
async function readEdited({ settings }: Service, fields: Form): Promise<Uint8Array | CodesInput> {
  const codes = fields.get("codes")?.[0];
  if (codes !== undefined) {
    if (typeof codes === "string") return readCodesText(codes, "codes", settings.limits);
    throw badField("codes", "Expected `codes` to be a JSON string, got a file");
  }
  const images = [...(fields.get("image") ?? []), ...(fields.get("image[]") ?? [])];
  if (images.length > 1)
    throw badField("image", `Expected one \`image\`, got ${images.length}: the model edits one at a time`);
  const [image] = images;
  if (image === undefined) throw badField("image", "Expected an `image` to edit, got none");
  if (!(image instanceof Blob)) throw badField("image", "Expected `image` to be a file, got a string");
  return readImageFile(image, "image", settings);
}
