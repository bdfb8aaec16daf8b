// A receipt records, as JSON, how an image was drawn, so that it can be drawn again (replay.ts). docs/receipts.md describes the fields.
// Receipts come from untrusted files, so every field is checked.

import * as z from "zod";
import { InputError } from "../errors.ts";
import type { FileBytes, ImageFormat } from "../image/image-format.ts";
import { bytesOf } from "../runtime/realm.ts";
import { version } from "../version.ts";
import { fusions } from "../vision/config.ts";
import { addPngText, readPngText } from "./png-text.ts";

/** The keyword of the text chunk. */
const KEYWORD = "kelix";
const FORMAT = 1;
/** A receipt usually has a few hundred bytes. One with a long conversation is shortened to fit (write.ts). */
export const MAX_RECEIPT_BYTES = 256 * 1024;

const name = z.string().max(300);
const text = z.string().max(MAX_RECEIPT_BYTES);
const hash = z.string().regex(/^[a-z0-9-]+:[0-9a-f]{64}$/);
const count = z.int().min(0);

/** Codes as base64 of ImageCodes.toBytes, or only their hash if there are many. */
const codes = z.object({ hash: hash.optional(), bytes: z.base64().max(MAX_RECEIPT_BYTES).optional() });

const drawn = { steps: count, guidance: z.number() };
const sampled = { temperature: z.number(), topK: count, topP: z.number() };
const written = { ...drawn, ...sampled, prompt: text, positions: z.enum(["training", "demo"]) };

const part = z.union([
  z.object({ type: z.literal("text"), text }),
  z.object({ type: z.literal("image"), image: codes }),
]);

/** The request, with all options in effect except the seed. */
export const requestSchema = z.discriminatedUnion("call", [
  z.object({ call: z.literal("imagine"), ...written }),
  /** `mask` has a 1 for each rewritten position, and a 0 for the others. */
  z.object({
    call: z.literal("edit"),
    ...written,
    image: codes,
    mask: z
      .string()
      .regex(/^[01]+$/)
      .optional(),
  }),
  z.object({ call: z.literal("reconstruct"), ...drawn, image: codes, fusion: z.enum(fusions).optional() }),
  /** `index` is the number of earlier images in the answer. Sampling options are absent if they are the model's own. */
  z.object({
    call: z.literal("chat"),
    ...drawn,
    temperature: z.number().optional(),
    topK: count.optional(),
    topP: z.number().optional(),
    maxNewTokens: count,
    minNewTokens: count,
    promptLookupNumTokens: count,
    stop: z.array(text).max(1000),
    index: count,
    messages: z
      .array(z.object({ role: z.enum(["system", "user", "assistant"]), content: z.union([text, z.array(part)]) }))
      .max(10_000),
  }),
]);

export const receiptSchema = z.object({
  format: z.literal(FORMAT),
  /** Kelix's version. */
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+[-+.\w]*$/)
    .max(100),
  /** All hashes are absent if the page had no `crypto.subtle`. For what `hash` covers see model-hash.ts. */
  model: z.object({ name, adapter: name.optional(), hash: hash.optional(), precision: z.record(name, name) }),
  seed: count,
  /** Absent if it was too long; `requestHash` is then the hash of its JSON. */
  request: requestSchema.optional(),
  requestHash: hash.optional(),
  /** Hash of the codes that the image was decoded from. */
  codesHash: hash.optional(),
  /** Hash of the RGB pixels, rows from the top. */
  pixelsHash: hash.optional(),
  /** Whether the language model shared no run with other work and reused nothing from earlier calls; see docs/receipts.md. */
  alone: z.boolean(),
  machine: z.object({ device: name, threads: count, system: name, processor: name.optional() }),
});

export type Receipt = z.output<typeof receiptSchema>;
export type ReceiptRequest = z.output<typeof requestSchema>;
export type ReceiptCodes = z.output<typeof codes>;

/** Adds the image's receipt to a file, if it has one and the format is PNG. */
export function withReceipt(file: FileBytes, format: ImageFormat, receipt: Receipt | undefined): FileBytes {
  return receipt && format === "png" ? addPngText(file, KEYWORD, JSON.stringify(receipt)) : file;
}

/**
 * The receipt of an image file; undefined if it has none. Throws an InputError if it is damaged or from a newer Kelix. A receipt proves
 * nothing by itself: anyone can write one.
 */
export async function readReceipt(file: Uint8Array | ArrayBuffer | Blob): Promise<Receipt | undefined> {
  const bytes = bytesOf(file instanceof Blob ? await file.arrayBuffer() : file);
  if (!bytes) throw refuse("expected the bytes of an image file");
  const text = await readPngText(bytes, KEYWORD, MAX_RECEIPT_BYTES);
  return text === undefined ? undefined : parseReceipt(text);
}

function parseReceipt(text: string): Receipt {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refuse("it is not JSON", cause);
  }
  const { format } = (json ?? {}) as { format?: unknown };
  if (typeof format === "number" && format > FORMAT)
    throw refuse(`its format ${format} is newer than Kelix ${version} reads (${FORMAT}); update Kelix`);
  const { data, error } = receiptSchema.safeParse(json);
  if (data) return data;
  const path = error.issues[0]!.path.map(String).join(".");
  throw refuse(`${path === "" ? "it is not an object" : `its field \`${path.slice(0, 100)}\` is invalid`}`);
}

function refuse(why: string, cause?: unknown): InputError {
  return new InputError(`The receipt cannot be read: ${why}`, { code: "invalid_receipt", cause });
}
