// Writes the receipts of a model's images.

import { platform } from "#platform";
import type { ChatMessage } from "../chat/conversation.ts";
import { toBase64 } from "../files/base64.ts";
import type { RgbImage } from "../image/rgb.ts";
import { describeModel } from "../model/info.ts";
import type { Networks } from "../model/networks.ts";
import type { OpenedModel } from "../model/open.ts";
import type { LoadSettings } from "../read-options.ts";
import { version } from "../version.ts";
import { ImageCodes } from "../vision/image-codes.ts";
import { hashModel, hashOf } from "./model-hash.ts";
import { MAX_RECEIPT_BYTES, type Receipt, type ReceiptCodes, type ReceiptRequest } from "./receipt.ts";

/** Larger codes are replaced by their hash. 16 KiB are 1,000 positions of the released model. */
const MAX_CODE_BYTES = 16 * 1024;
/** Leaves room for everything besides the request. */
const MAX_REQUEST_BYTES = MAX_RECEIPT_BYTES - 16 * 1024;

/** One image and how it was drawn. */
export interface Drawing {
  readonly request: ReceiptRequest;
  readonly seed: number;
  readonly pixels: RgbImage;
  readonly codes: ImageCodes;
  /** See `alone` in Receipt. */
  readonly isAlone: boolean;
  /** When it was begun: see DeviceLog. */
  readonly began: number;
}

export class ReceiptWriter {
  readonly #model: OpenedModel;
  readonly #settings: LoadSettings;
  readonly #networks: Networks;
  #hash: Promise<string | undefined> | undefined;
  #machine: ReturnType<typeof platform.describeMachine> | undefined;

  constructor(model: OpenedModel, settings: LoadSettings, networks: Networks) {
    this.#model = model;
    this.#networks = networks;
    this.#settings = settings;
  }

  /** See hashModel; computed once. */
  modelHash(): Promise<string | undefined> {
    this.#hash ??= hashModel(this.#model);
    return this.#hash;
  }

  async receiptOf({ request, seed, pixels, codes, isAlone, began }: Drawing): Promise<Receipt> {
    const text = new TextEncoder().encode(JSON.stringify(request));
    const isKept = text.length <= MAX_REQUEST_BYTES;
    const { path, adapter } = this.#model;
    const { parts } = describeModel(this.#model);
    this.#machine ??= platform.describeMachine(this.#settings);
    const model = {
      name: nameOf(path),
      ...(adapter && { adapter: nameOf(adapter.path) }),
      ...named("hash", await this.modelHash()),
      precision: Object.fromEntries(parts.map(({ part, precisions }) => [part, precisions[0]?.precision ?? "none"])),
    };
    return {
      format: 1,
      version,
      model,
      seed,
      ...(isKept ? { request } : named("requestHash", await hashOf([text]))),
      ...named("codesHash", await hashOfCodes(codes)),
      ...named("pixelsHash", await hashOf([pixels.data])),
      alone: isAlone,
      machine: { ...(await this.#machine), device: this.#networks.devices.since(began, request.call) },
    };
  }
}

/** Hash of `toBytes` of the codes, without the source image's size. */
export function hashOfCodes({ grid, codes }: ImageCodes): Promise<string | undefined> {
  return hashOf([new ImageCodes({ grid, codes }).toBytes()]);
}

/** Codes for a receipt. */
export async function receiptCodes({ grid, codes }: ImageCodes): Promise<ReceiptCodes> {
  const bytes = new ImageCodes({ grid, codes }).toBytes();
  if (bytes.length > MAX_CODE_BYTES) return named("hash", await hashOf([bytes]));
  return { bytes: toBase64(bytes) };
}

/** The messages of a chat, with codes in place of their images. */
export async function receiptMessages(messages: readonly ChatMessage[], images: readonly ImageCodes[]) {
  const codes = await Promise.all(images.map(receiptCodes));
  let next = 0;
  return messages.map(({ role, content }) => ({
    role,
    content:
      typeof content === "string"
        ? content
        : content.map((part) =>
            part.type === "text"
              ? { type: "text" as const, text: part.text }
              : { type: "image" as const, image: codes[next++]! },
          ),
  }));
}

/** The name of a model without local paths: "kelix-nano", or "owner/name@commit" for one in the Hub's cache. */
export function nameOf(path: string): string {
  const [, owner, repository, commit] = /models--(.+?)--(.+?)[/\\]snapshots[/\\]([0-9a-f]{40})/.exec(path) ?? [];
  const name = owner === undefined ? /([^/\\]*)[/\\]*$/.exec(path)![1]! : `${owner}/${repository}@${commit}`;
  return name.slice(0, 200);
}

function named<Name extends string, T>(name: Name, value: T | undefined): { readonly [N in Name]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [N in Name]?: T };
}
