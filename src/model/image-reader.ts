// Turns what callers hand in as images into codes: images are loaded and encoded, codes are checked.

import { platform } from "#platform";
import { InputError } from "../errors.ts";
import type { ImageInput } from "../image/image-input.ts";
import { checkMask, type MaskInput, readMaskImage, readMaskList } from "../image/mask.ts";
import { fitGrid } from "../image/processor.ts";
import type { RgbImage } from "../image/rgb.ts";
import { imagesOf, type Message } from "../text/chat-template.ts";
import { type CodesInput, codeLimits, type ImageCodes, isCodesInput, readCodes } from "../vision/image-codes.ts";
import { preparationOf } from "./config.ts";
import type { EncodeOptions, Networks } from "./networks.ts";
import type { OpenedModel } from "./open.ts";

/** An image, or its codes. */
export type ReadInput = ImageInput | CodesInput;

type Grid = readonly [rows: number, columns: number];

interface ReadOptions extends EncodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** The grid that the codes must have: an image of another shape is resized, codes of another grid are rejected. */
  readonly grid?: Grid;
}

export class ImageReader {
  readonly #model: OpenedModel;
  readonly #networks: Networks;

  constructor(model: OpenedModel, networks: Networks) {
    this.#model = model;
    this.#networks = networks;
  }

  /** The codes of an image. */
  async tokenize(input: ImageInput, { signal, grid, ...options }: ReadOptions): Promise<ImageCodes> {
    const image = await load(input, signal);
    const { preprocessor } = this.#model;
    const fitted = grid ? fitGrid(image, grid, preparationOf(preprocessor)) : image;
    return this.#networks.encode(fitted, options);
  }

  /** Codes as they are given, or those of an image. */
  async codesOf(input: ReadInput, options: ReadOptions): Promise<ImageCodes> {
    return isCodesInput(input) ? this.#check(input, options.grid) : this.tokenize(input, options);
  }

  /** The codes of a conversation's images, in order. Counts them, and those whose codes were known, in `usage`. */
  async codesIn(
    messages: readonly Message<ReadInput>[],
    options: ReadOptions,
    usage?: { imagesIn: number; cachedImages: number },
  ): Promise<ImageCodes[]> {
    const inputs = imagesOf(messages);
    for (const input of inputs) if (isCodesInput(input)) this.#check(input); // before any image is encoded
    const images: ImageCodes[] = [];
    let encoded = 0;
    const onEncode = () => void encoded++;
    for (const input of inputs) images.push(await this.codesOf(input, { ...options, onEncode }));
    if (usage) [usage.imagesIn, usage.cachedImages] = [images.length, images.length - encoded];
    return images;
  }

  /** The positions of a grid that a mask selects: at least one. */
  async readMask(mask: MaskInput, grid: Grid, signal?: AbortSignal): Promise<readonly boolean[]> {
    const positions = readMaskList(mask, grid) ?? readMaskImage(await load(mask as ImageInput, signal), grid); // no list: an image
    checkMask(positions);
    return positions;
  }

  /** Throws an InputError unless the model could have made the codes. */
  #check(input: CodesInput, grid?: Grid): ImageCodes {
    const { tokenizer, preprocessor } = this.#model;
    const codes = readCodes(input, codeLimits(tokenizer, preparationOf(preprocessor)));
    if (!grid || codes.grid.join() === grid.join()) return codes;
    const [wanted, got] = [grid, codes.grid].map((sides) => sides.join(" x "));
    throw new InputError(`Expected codes of ${wanted} positions, as the model draws them, got ${got}`, {
      code: "invalid_codes",
    });
  }
}

async function load(input: ImageInput, signal: AbortSignal | undefined): Promise<RgbImage> {
  const image = await platform.loadImage(input, { ...(signal && { signal }) });
  signal?.throwIfAborted();
  return image;
}
