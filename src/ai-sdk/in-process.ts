// A model in this process.

import { APICallError, type JSONObject } from "@ai-sdk/provider";
import { FetchError, InputError, KelixError } from "../errors.ts";
import type { Kelix } from "../kelix.ts";
import type { DrawnImage } from "../model/drawn-image.ts";
import {
  type AskedMessage,
  type AskedPart,
  type Backend,
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
          const drawn = await kelix.imagine(prompt, { ...options, n });
          return Promise.all(drawn.map(pieceOf));
        }
        const masked = mask === undefined ? {} : { mask: await readMask(mask) };
        const edited: DrawnPiece[] = [];
        for (let i = 0; i < n; i++) {
          const seed = options.seed + i;
          edited.push(await pieceOf(await kelix.edit(imageOf(image), prompt, { ...options, ...masked, seed })));
        }
        return edited;
      }),
    embed: (_, images, { signal }) =>
      explained({ images: images.length }, signal, async (kelix) => {
        const vectors: number[][] = [];
        for (const image of images) vectors.push([...(await kelix.embed(image, { signal }))]);
        return vectors;
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
  return part.type === "text" ? part : { type: part.type, image: imageOf(part.image) };
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
  return { data: await image.toPng(), facts: { seed, ...(receipt && { receipt: receipt as JSONObject }) } };
}

function checkSize(size: string | undefined, kelix: Kelix): void {
  const own = kelix.info().imageSize?.join("x");
  if (size === undefined || own === undefined || size === own) return;
  throw new InputError(
    `Expected \`size\` to be "${own}", the size of this model's images, got ${JSON.stringify(size)}`,
    {
      code: "invalid_option",
    },
  );
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
