// /v1/images/tokenize turns an image into its codes, and /v1/images/detokenize turns codes into an image. Codes are JSON or a .npy file in
// both directions.

import * as z from "zod";
import { badField, toApiError } from "./api-error.ts";
import { needType, readBody, readJson } from "./body.ts";
import { anySeed } from "./chat-request.ts";
import { type Body, check, drawingFields, isNothing, modelField, oneOf, samplingFields, words } from "./fields.ts";
import { readImageFile, readImageUrl } from "./given-image.ts";
import { codesFields, codesInput, codesOf } from "./image-codes.ts";
import { dataOf, now } from "./images.ts";
import { readNpy, writeNpy } from "./npy.ts";
import { factsOf, findModel, type HttpContext, type Service } from "./service.ts";
import { begin, gather, only } from "./work.ts";

const NPY = "application/x-npy";
const IMAGES = ["image/png", "image/jpeg", "image/webp"];

export const tokenizeSchema = z.looseObject({
  ...modelField,
  image: words.describe("a data: URL of a PNG, JPEG or WebP"),
  format: oneOf("json", "npy").describe("form of the answer; Accept: application/x-npy does the same").optional(),
});

export const detokenizeSchema = z.looseObject({
  ...modelField,
  ...drawingFields,
  seed: samplingFields.seed,
  ...codesFields,
  format: oneOf("json", "png").describe("form of the answer; Accept: image/png does the same").optional(),
});

/** Takes JSON with a data: URL, or an image file. */
export async function tokenize(service: Service, c: HttpContext): Promise<Response> {
  const { settings } = service;
  const type = needType(c, ["application/json", ...IMAGES, "application/octet-stream"]);
  const body: Body = type === "application/json" ? await readJson(c, settings.limits) : {};
  const given = check(type === "application/json" ? tokenizeSchema : tokenizeSchema.partial(), {
    ...c.req.query(),
    ...body,
  });
  const model = findModel(service, given.model);
  const signal = c.req.raw.signal;
  const image = given.image
    ? await readImageUrl(given.image, "image", { settings, signal })
    : await readImageFile(new Blob([new Uint8Array(await readBody(c, settings.limits))]), "image", settings);
  const [events] = await gather(begin(service, c, model, [{ kind: "tokenize", image }]), "image");
  const { codes } = only(events!, "codes");
  const wantsNpy = given.format === "npy" || (given.format === undefined && accepts(c, NPY));
  if (wantsNpy) return c.body(new Uint8Array(writeNpy(codes)), 200, { "content-type": NPY });
  return c.json({ object: "image.codes", model: model.id, ...codesOf(codes) });
}

/** Takes JSON, or a .npy file with the other fields in the query string. */
export async function detokenize(service: Service, c: HttpContext): Promise<Response> {
  const type = needType(c, ["application/json", NPY, "application/octet-stream"]);
  const given = type === "application/json" ? await readCodesJson(service, c) : await readCodesFile(service, c);
  const model = findModel(service, given.model);
  if (!(await factsOf(service, model)).canReconstruct)
    throw badField("model", `${model.id} draws no images`, "unsupported_value");
  const { seed = anySeed(), num_inference_steps, guidance_scale, format } = given;
  const options = {
    seed,
    ...(num_inference_steps !== undefined && { steps: num_inference_steps }),
    ...(guidance_scale !== undefined && { guidance: guidance_scale }),
  };
  const [events] = await gather(
    begin(service, c, model, [{ kind: "reconstruct", codes: given.input, options }]),
    "codes",
  );
  const image = only(events!, "image");
  const wantsPng = format === "png" || (format === undefined && accepts(c, "image/png"));
  if (wantsPng) return c.body(new Uint8Array(image.png), 200, { "content-type": "image/png" });
  return c.json({ created: now(), data: [dataOf(image)], size: `${image.width}x${image.height}` });
}

const unsupported = { negative_prompt: [isNothing, "an image is decoded from its codes alone"] } as const;

async function readCodesJson(service: Service, c: HttpContext) {
  const { grid, codes, ...rest } = check(detokenizeSchema, await readJson(c, service.settings.limits), unsupported);
  return { ...rest, input: codesInput({ grid, codes }) };
}

const querySchema = detokenizeSchema.omit({ grid: true, codes: true });

async function readCodesFile(service: Service, c: HttpContext) {
  const query = Object.entries(c.req.query()).map(([name, value]) => {
    const isNumber = ["seed", "num_inference_steps", "guidance_scale"].includes(name) && value.trim() !== "";
    return [name, isNumber ? Number(value) : value];
  });
  const rest = check(querySchema, Object.fromEntries(query), unsupported);
  try {
    return { ...rest, input: readNpy(await readBody(c, service.settings.limits)) };
  } catch (error) {
    throw toApiError(error, "codes");
  }
}

function accepts(c: HttpContext, type: string): boolean {
  return (c.req.header("accept") ?? "").split(",").some((one) => one.split(";")[0]!.trim().toLowerCase() === type);
}
