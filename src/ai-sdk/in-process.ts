// A model in this process.

import { APICallError, type JSONObject } from "@ai-sdk/provider";
import { FetchError, InputError, KelixError, quote } from "../errors.ts";
import type { Kelix } from "../kelix.ts";
import type { DrawnImage } from "../model/drawn-image.ts";
import { ImageCodes } from "../vision/image-codes.ts";
import {
  type AskedMessage,
  type AskedPart,
  type Backend,
  type Drawn,
  type DrawnPiece,
  type GivenImage,
  type Sampling,
  usageOf,
} from "./backend.ts";

/** Seeds that are drawn are below this, as the server's are. */
const SEEDS = 2 ** 31;
/** The answer then ends with the model's context. */
const NO_LIMIT = 1_000_000;

export function inProcess(given: Kelix | PromiseLike<Kelix>): Backend {
  const explained = async <T>(request: object, signal: AbortSignal | undefined, work: (kelix: Kelix) => Promise<T>) => {
    try {
      return await work(await given);
    } catch (error) {
      throw explain(error, request, signal);
    }
  };
  return {
    async *answer(_, asked, { signal }) {
      const { messages, mayDraw, maxTokens = NO_LIMIT, stop } = asked;
      try {
        const kelix = await given;
        const options = { mayDraw, maxNewTokens: maxTokens, stop: [...stop], ...optionsOf(asked), signal };
        for await (const event of kelix.chat(messages.map(messageOf), options)) {
          if (event.type === "image") yield { type: "image", ...(await pieceOf(event.image)) };
          else if (event.type === "text") yield { type: "text", text: event.text };
          else {
            const { promptTokens, cachedPromptTokens, completionTokens } = event.usage;
            const usage = usageOf(promptTokens, cachedPromptTokens, completionTokens);
            yield { type: "end", finishReason: event.finishReason, usage };
          }
        }
      } catch (error) {
        throw explain(error, asked, signal);
      }
    },
    draw: (_, asked, { signal }) =>
      explained(asked, signal, async (kelix) => {
        const { prompt, n, size, image, mask } = asked;
        checkSize(size, kelix);
        const options = { ...optionsOf(asked), signal };
        if (image === undefined) {
          return drawnOf(await kelix.imagine(prompt, { ...options, n }));
        }
        const masked = mask === undefined ? {} : { mask: await readMask(mask) };
        const edited: DrawnImage[] = [];
        for (let i = 0; i < n; i++) {
          const seed = options.seed + i;
          edited.push(await kelix.edit(imageOf(image), prompt, { ...options, ...masked, seed }));
        }
        return drawnOf(edited);
      }),
    embed: (_, images, { signal }) =>
      explained({ images: images.length }, signal, async (kelix) => {
        const vectors: number[][] = [];
        let tokens = 0;
        for (const image of images) {
          const codes = await kelix.tokenize(image, { signal });
          tokens += codes.grid[0] * codes.grid[1];
          vectors.push([...(await kelix.embed(codes, { signal }))]);
        }
        return { vectors, tokens };
      }),
  };
}

function optionsOf({ seed, temperature, topP, topK, steps, guidance }: Sampling) {
  return { seed: seed ?? Math.floor(Math.random() * SEEDS), temperature, topP, topK, steps, guidance };
}

function messageOf({ role, content }: AskedMessage) {
  const [only] = content;
  if (content.length === 1 && only?.type === "text") return { role, content: only.text };
  return { role, content: content.map(partOf) };
}

function partOf(part: AskedPart) {
  if (part.type === "text") return part;
  return { type: part.type, image: part.codes ? ImageCodes.from(JSON.stringify(part.codes)) : imageOf(part.image) };
}

/** Base64 as the library reads it. */
function imageOf(image: GivenImage): Uint8Array | string {
  return typeof image === "string" ? `data:image/*;base64,${image}` : image;
}

/** Masks of the AI SDK are transparent where to rewrite, the library's are white there. */
async function readMask(mask: GivenImage): Promise<Uint8Array> {
  const { maskOf } = await import("../image/alpha-mask.ts");
  return maskOf(typeof mask === "string" ? Uint8Array.from(atob(mask), (c) => c.charCodeAt(0)) : mask);
}

async function pieceOf(image: DrawnImage): Promise<DrawnPiece> {
  const { seed, receipt } = image;
  const codes = image.codes.toJSON() as unknown as JSONObject;
  return { data: await image.toPng(), facts: { seed, codes, ...(receipt && { receipt: receipt as JSONObject }) } };
}

/** All images have one prompt, which counts once. */
async function drawnOf(images: readonly DrawnImage[]): Promise<Drawn> {
  const inputTokens = images[0]?.usage?.promptTokens ?? 0;
  const outputTokens = images.reduce((sum, { usage }) => sum + (usage?.completionTokens ?? 0), 0);
  const usage = { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens };
  return { pieces: await Promise.all(images.map(pieceOf)), usage };
}

function checkSize(size: string | undefined, kelix: Kelix): void {
  const own = kelix.info().imageSize?.join("x");
  if (size === undefined || own === undefined || size === own) return;
  throw new InputError(`Expected \`size\` to be "${own}", the size of this model's images, got ${quote(size)}`, {
    code: "invalid_option",
  });
}

/** The AI SDK's error: with a status, as if a server had answered, and whether another try may help. */
function explain(error: unknown, requestBodyValues: object, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (!(error instanceof KelixError)) return error;
  const isRetryable = error instanceof FetchError && error.canRetry;
  const statusCode = error instanceof InputError ? 400 : 500;
  const { message, code, cause } = error;
  return new APICallError({
    message,
    url: "kelix:in-process",
    requestBodyValues,
    statusCode,
    isRetryable,
    cause,
    data: { code },
  });
}
