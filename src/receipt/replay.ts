// Draws an image again from its receipt and compares the two.

import { platform } from "#platform";
import { InputError, quote } from "../errors.ts";
import type { Image } from "../image/image.ts";
import { type RgbImage, readPixels } from "../image/rgb.ts";
import type { Kelix } from "../kelix.ts";
import type { DrawnImage } from "../model/drawn-image.ts";
import type { DrawOptions } from "../options.ts";
import { bytesOf } from "../runtime/realm.ts";
import { version } from "../version.ts";
import { ImageCodes } from "../vision/image-codes.ts";
import { hashOf } from "./model-hash.ts";
import { type Receipt, type ReceiptCodes, type ReceiptRequest, readReceipt } from "./receipt.ts";

/** The parts of a loaded model that a replay uses. */
export type Replayer = Pick<Kelix, "imagine" | "edit" | "reconstruct" | "chat" | "modelHash">;

export interface Replay {
  /** The image drawn now. */
  readonly image: Image | DrawnImage;
  readonly receipt: Receipt;
  /**
   * `identical`: all pixels are equal. `close`: the same codes, and no level differs by more than `CLOSE_LEVELS`. `different`: anything
   * else.
   */
  readonly verdict: "identical" | "close" | "different";
  /**
   * The expected verdict: `identical` if the image was drawn alone, with this version, on such a machine; otherwise `close` or, with int4
   * and int8 weights, `anything`, since nearly equal codes may swap.
   */
  readonly expected: "identical" | "close" | "anything";
  /** Whether the verdict is at least as good as expected. */
  readonly holds: boolean;
  /** Why `identical` was not expected, and other observations, as sentences. */
  readonly notes: readonly string[];
  /** Largest difference between the file's pixels and the new ones, in levels of 255; undefined if their sizes differ. */
  readonly largestDifference: number | undefined;
  /** Number of pixels that differ. */
  readonly differentPixels: number;
}

/** Float32 sums in another order can move a value near .5 to the next level. */
export const CLOSE_LEVELS = 1;

/**
 * Draws the image of a PNG file again from its receipt. Throws an InputError if the receipt is missing, incomplete, from another model or
 * from a newer Kelix.
 */
export async function replay(
  kelix: Replayer,
  file: Uint8Array | ArrayBuffer | Blob,
  options: Pick<DrawOptions, "signal" | "onProgress"> = {},
): Promise<Replay> {
  const bytes = bytesOf(file instanceof Blob ? await file.arrayBuffer() : file);
  const receipt = bytes && (await readReceipt(bytes));
  if (!receipt) {
    const kept =
      "Kelix writes one into a PNG, not into a JPEG or WebP, and most programs drop it when they save an image";
    throw refuse(`The image has no receipt: ${kept}`);
  }
  refuseNewer(receipt);
  await refuseOther(receipt, kelix);
  const before = await platform.loadImage(bytes, { ...(options.signal && { signal: options.signal }) });
  const image = await drawAgain(kelix, receipt, options);
  return { image, receipt, ...(await compare(receipt, before, image)) };
}

async function drawAgain(
  kelix: Replayer,
  { request, seed }: Receipt,
  watched: Pick<DrawOptions, "signal" | "onProgress">,
): Promise<Image | DrawnImage> {
  if (!request)
    throw refuse("The receipt does not hold what was asked for, which was too long: it cannot be drawn again");
  const options = { ...watched, seed };
  if (request.call === "imagine") {
    const { call, prompt, ...rest } = request;
    return (await kelix.imagine(prompt, { ...rest, ...options }))[0]!;
  }
  if (request.call === "edit") {
    const { call, prompt, image, mask, ...rest } = request;
    const isFree = mask === undefined ? {} : { mask: [...mask].map((digit) => digit === "1") };
    return kelix.edit(codesOf(image), prompt, { ...rest, ...options, ...isFree });
  }
  if (request.call === "reconstruct") {
    const { call, image, ...rest } = request;
    return kelix.reconstruct(codesOf(image), { ...rest, ...options });
  }
  const { call, index, messages, ...rest } = request;
  let at = 0;
  for await (const event of kelix.chat(messages.map(messageOf), { ...rest, ...options }))
    if (event.type === "image" && at++ === index) return event.image;
  throw refuse(`The receipt is for image ${index + 1} of an answer that now has ${at}`);
}

function messageOf({ role, content }: Extract<ReceiptRequest, { call: "chat" }>["messages"][number]) {
  if (typeof content === "string") return { role, content };
  return {
    role,
    content: content.map((part) => (part.type === "text" ? part : { type: part.type, image: codesOf(part.image) })),
  };
}

function codesOf({ bytes }: ReceiptCodes): ImageCodes {
  if (bytes === undefined)
    throw refuse(
      "The receipt names the image that was read by its hash alone, since it has many codes: it cannot be drawn again",
    );
  return ImageCodes.from(Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0)));
}

type Comparison = Omit<Replay, "image" | "receipt">;

async function compare(receipt: Receipt, before: RgbImage, drawn: Image | DrawnImage): Promise<Comparison> {
  const now = readPixels(drawn);
  const notes = differencesOf(receipt, drawn.receipt!);
  const isRounded = Object.values(receipt.model.precision).some((precision) => /^int/.test(precision));
  const expected = notes.length === 0 ? "identical" : isRounded ? "anything" : "close";
  const inFile = await hashOf([before.data]);
  if (receipt.pixelsHash !== undefined && inFile !== undefined && inFile !== receipt.pixelsHash)
    notes.push("the file's pixels are not those that the receipt was written for: they were changed afterwards");
  const isSameSize = now.width === before.width && now.height === before.height;
  const isSameCodes = receipt.codesHash === undefined || receipt.codesHash === drawn.receipt?.codesHash;
  if (!isSameCodes) notes.push("the language model chose other codes");
  if (!isSameSize)
    notes.push(`the file has ${before.width} x ${before.height} pixels, the new image ${now.width} x ${now.height}`);
  const { largest, count } = isSameSize ? differenceOf(before.data, now.data) : { largest: undefined, count: 0 };
  const isClose = isSameCodes && largest !== undefined && largest <= CLOSE_LEVELS;
  const verdict = largest === 0 ? "identical" : isClose ? "close" : "different";
  const holds = verdict === "identical" || verdict === expected || expected === "anything";
  return { verdict, expected, holds, notes, largestDifference: largest, differentPixels: count };
}

/** Reasons why the image may differ slightly here. */
function differencesOf(
  { alone, version: drawnBy, machine: there }: Receipt,
  { alone: isAloneNow, machine: here }: Receipt,
): string[] {
  const notes: string[] = [];
  if (!alone || !isAloneNow) {
    const when = alone ? "now" : "then";
    notes.push(`${when} it shared the language model's runs, or part of its conversation was already in the KV cache`);
  }
  if (drawnBy !== version) notes.push(`it was drawn by Kelix ${drawnBy}; this is ${version}`);
  const differs = (what: string, a: unknown, b: unknown) => {
    if (a !== b) notes.push(`it was drawn with ${what} ${a ?? "unknown"}; here it is ${b ?? "unknown"}`);
  };
  differs("device", there.device, here.device);
  differs("threads", there.threads, here.threads);
  differs("the system", there.system, here.system);
  differs("the processor", there.processor, here.processor);
  return notes;
}

function differenceOf(a: Uint8Array, b: Uint8Array): { largest: number; count: number } {
  let [largest, count] = [0, 0];
  for (let i = 0; i < a.length; i += 3) {
    let most = 0;
    for (let c = i; c < i + 3; c++) most = Math.max(most, Math.abs(a[c]! - b[c]!));
    if (most > 0) count++;
    largest = Math.max(largest, most);
  }
  return { largest, count };
}

function refuseNewer({ version: drawnBy }: Receipt): void {
  const [there, here] = [drawnBy, version].map((text) => text.split(/[.+-]/, 3).map(Number));
  const at = there!.findIndex((number, i) => number !== here![i]);
  if (at >= 0 && there![at]! > here![at]!)
    throw refuse(
      `The image was drawn by Kelix ${drawnBy}, which is newer than this one (${version}). Update Kelix to draw it again`,
    );
}

async function refuseOther({ model }: Receipt, kelix: Replayer): Promise<void> {
  const here = await kelix.modelHash();
  if (model.hash === undefined || here === undefined || model.hash === here) return;
  const adapted = model.adapter === undefined ? "" : ` with the adapter ${quote(model.adapter)}`;
  throw refuse(
    `The image was drawn by another model: it was called ${quote(model.name)}${adapted} and its hash is ${model.hash}, ` +
      `that of this one is ${here}: name it with --model`,
  );
}

function refuse(message: string): InputError {
  return new InputError(message, { code: "invalid_receipt" });
}
