// Runs one request on the model and sends its events.

import { type DrawnImage, type Image, ImageCodes, type Kelix, type Progress, type Usage } from "../../index.ts";
import type { EngineEvent, EngineRequest } from "../protocol.ts";

/** Where a request's events go. */
export interface Sink {
  send(event: EngineEvent): Promise<void>;
  /** For events that may be dropped. */
  offer(event: EngineEvent): void;
}

export interface RunContext {
  readonly key: string;
  readonly signal: AbortSignal;
  /** Whether this has been the only running request so far. */
  isAlone(): boolean;
}

/** Sends the request's events; the last is `end`. Throws like the library's calls. */
export async function runRequest(kelix: Kelix, request: EngineRequest, sink: Sink, context: RunContext): Promise<void> {
  const { signal } = context;
  // The prefix makes the empty key a key too.
  const common = { signal, cacheKey: `key ${context.key}` };
  const end = (usage: Partial<Usage>) =>
    sink.send({ type: "end", finishReason: "stop", usage: { ...NOTHING, ...usage } });
  const sendImage = async (image: Image, codes: ImageCodes, seed: number) => {
    const { width, height, receipt } = image;
    const isAlone = context.isAlone();
    const png = await image.toPng();
    await sink.send({
      type: "image",
      png,
      width,
      height,
      seed,
      codes: { ...codes },
      isAlone,
      ...(receipt && { receipt }),
    });
  };
  switch (request.kind) {
    case "chat": {
      const { messages, mayDraw, topLogprobs, previews } = request;
      const options = { ...request.options, mayDraw, topLogprobs, ...common, ...previewing(previews, sink) };
      const chat = kelix.chat(messages, options);
      for await (const event of chat) {
        if (event.type === "image") await sendImage(event.image, event.codes, event.image.seed);
        else if (event.type === "text") await sink.send(event);
        else if (event.finishReason !== "cancelled") await sink.send({ ...event, finishReason: event.finishReason });
      }
      return;
    }
    case "imagine":
    case "edit": {
      const options = { ...request.options, ...common, ...previewing(request.previews, sink) };
      const image: DrawnImage =
        request.kind === "edit"
          ? await kelix.edit(request.image, request.prompt, { ...options, mask: request.mask })
          : (await kelix.imagine(request.prompt, options))[0]!;
      await sendImage(image, image.codes, image.seed);
      return end({ ...image.usage, imagesIn: request.kind === "edit" ? 1 : 0, imagesOut: 1 });
    }
    case "reconstruct": {
      const { codes, options, previews } = request;
      const image = await kelix.reconstruct(codes, { ...options, ...common, ...previewing(previews, sink) });
      await sendImage(image, ImageCodes.from(codes), options.seed ?? 0);
      return end({ imagesOut: 1 });
    }
    case "tokenize": {
      const codes = await kelix.tokenize(request.image, common);
      await sink.send({ type: "codes", codes: { ...codes } });
      return end({ promptTokens: positionsOf(codes), imagesIn: 1 });
    }
    case "embed": {
      const { image } = request;
      const codes = image instanceof Uint8Array ? await kelix.tokenize(image, common) : ImageCodes.from(image);
      const vector = await kelix.embed(codes, common);
      await sink.send({ type: "vector", vector });
      return end({ promptTokens: positionsOf(codes), imagesIn: 1 });
    }
  }
}

function positionsOf({ grid: [rows, columns] }: ImageCodes): number {
  return rows * columns;
}

const NOTHING: Usage = {
  promptTokens: 0,
  cachedPromptTokens: 0,
  completionTokens: 0,
  imagesIn: 0,
  cachedImages: 0,
  imagesOut: 0,
};

/** Options that give up to `count` previews of each image, spread over its steps. */
function previewing(count = 0, sink: Sink) {
  if (count === 0) return {};
  let [index, share] = [0, 0];
  return {
    onProgress: ({ task, done, total }: Progress) => {
      if (task !== "draw") return;
      if (done / total < share) index = 0; // the next image
      share = done / total;
    },
    onPreview: async (image: Image) => {
      if (index >= count || share < (index + 1) / (count + 1)) return;
      sink.offer({ type: "preview", index: index++, png: await image.toPng() });
    },
  };
}
