// What differs between Node and a browser beside the backend of ONNX Runtime: files, image codecs, memory, and where templates run.
// platform.node.ts and platform.web.ts provide it; package.json (`#platform`) chooses.

import type { GivenFile } from "./files/memory.ts";
import type { ModelFiles } from "./files/model-files.ts";
import type { TransferOptions } from "./files/transfer.ts";
import type { FileBytes, ImageFormat } from "./image/image-format.ts";
import type { ImageInput } from "./image/image-input.ts";
import type { RawImage, RgbImage } from "./image/rgb.ts";
import type { OpenedModel } from "./model/open.ts";
import type { Source } from "./model/parts.ts";
import type { LoadSettings } from "./read-options.ts";
import type { Receipt } from "./receipt/receipt.ts";
import type { SessionOptions } from "./runtime/session.ts";
import type { SessionCache } from "./runtime/session-cache.ts";
import type { TemplateSandbox } from "./text/chat-template.ts";

/** A model by its name, or its files. */
export type ModelSource = string | URL | Iterable<GivenFile>;

export interface Platform {
  /** Loaded where no name is given. */
  defaultModel(): string;
  /** The files that a name stands for, which are fetched if they are elsewhere. Throws, naming the choices, where there are none. */
  openFiles(source: ModelSource, options: TransferOptions): Promise<ModelFiles>;
  /** Loads an image from whatever a caller may name. Throws an InputError for what is none, a FetchError for what does not come. */
  loadImage(input: ImageInput, options: { readonly signal?: AbortSignal }): Promise<RgbImage>;
  encodeImage(image: RawImage, format: ImageFormat): Promise<FileBytes>;
  /** Throws a MemoryError for a model that cannot fit, unless `ignoreMemory` is set. */
  guardMemory(model: OpenedModel, ignoreMemory: boolean): Promise<MemoryGuard>;
  readonly templates: TemplateSandbox;
  /** What computes, as receipts tell it beside the device. */
  describeMachine(settings: LoadSettings): Promise<Omit<Receipt["machine"], "device">>;
}

/** Rejects what cannot fit into memory before it is loaded. Remembers what was found to fit. */
export interface MemoryGuard {
  /** When weights in 16 bits are widened, so that the model fits. */
  readonly widening: NonNullable<SessionOptions["widening"]>;
  /** Throws a MemoryError unless an image of so many positions can be tokenized. */
  checkPositions(positions: number): Promise<void>;
  /** Throws a MemoryError unless an image of this grid can be drawn, in turns as `sessions` has the networks. */
  checkDrawing(
    source: Source,
    codeGrid: readonly [number, number],
    sessions: Pick<SessionCache, "limitBytes" | "openBytes">,
  ): Promise<void>;
}
