// What the worker does for each call: the library's functions, with blobs in place of pixels.

import type { ChatMessage, CodesInput, DrawnImage, Image, ImageCodes, Kelix, ReadInput } from "kelix";
import type { ChatPiece, Codes, DrawPiece, LoadProgress, Message, PageImage, Sampling } from "../backend/backend.ts";
import { factsOf, loadModel, warm } from "./load.ts";
import type { CallName, Calls } from "./messages.ts";
import { occlude } from "./occlusion.ts";

export interface CallContext {
  readonly signal: AbortSignal;
  readonly onPiece: (piece: ChatPiece | DrawPiece) => void;
  readonly onLoad: (progress: LoadProgress) => void;
}

type Call<Name extends CallName> = (takes: Calls[Name]["takes"], context: CallContext) => Promise<Calls[Name]["gives"]>;

let loaded: Promise<Kelix> | undefined;

async function model(): Promise<Kelix> {
  if (!loaded) throw new Error("The model has not been opened");
  return loaded;
}

export const calls: { readonly [Name in CallName]: Call<Name> } = {
  async open(settings, { onLoad }) {
    loaded ??= loadModel(settings, onLoad);
    try {
      const kelix = await loaded;
      void warm(kelix).catch(ignore); // what is wrong is told when it is asked for
      return factsOf(kelix, settings);
    } catch (error) {
      loaded = undefined; // so that it can be tried again
      throw error;
    }
  },

  async chat({ messages, sampling }, { signal, onPiece }) {
    const options = { ...sampling, signal, onPreview: preview(onPiece) };
    for await (const event of (await model()).chat(messages.map(chatMessage), options)) {
      if (event.type === "text") onPiece({ type: "text", text: event.text });
      if (event.type === "image") onPiece({ type: "image", image: await drawn(event.image) });
      if (event.type === "end")
        onPiece({ type: "end", finishReason: event.finishReason, tokens: event.usage.completionTokens });
    }
    return undefined;
  },

  async imagine({ prompt, sampling }, { signal, onPiece }) {
    const [image] = await (await model()).imagine(prompt, {
      ...drawing(sampling),
      signal,
      onPreview: preview(onPiece),
    });
    onPiece({ type: "image", image: { ...(await drawn(image!)), prompt } });
    return undefined;
  },

  async edit({ image, prompt, mask, sampling }, { signal, onPiece }) {
    const options = { ...drawing(sampling), mask, signal, onPreview: preview(onPiece) };
    const edited = await (await model()).edit(readInput(image), prompt, options);
    onPiece({ type: "image", image: { ...(await drawn(edited)), prompt } });
    return undefined;
  },

  async tokenize({ image }, { signal }) {
    return plainCodes(await (await model()).tokenize(image.blob, { signal }));
  },

  async reconstruct({ codes, sampling: { seed, steps, guidance } }, { signal }) {
    const image = await (await model()).reconstruct(codes as CodesInput, { seed, steps, guidance, signal });
    return { blob: await image.toBlob(), codes };
  },

  async embed({ image }, { signal }) {
    return (await model()).embed(readInput(image), { signal });
  },

  async occlude({ codes, question, answer }, { signal }) {
    return occlude(await model(), codes, question, answer, signal);
  },
};

/** Settings of an image alone: how long a text may be is not among them. */
function drawing({ maxNewTokens: _, ...rest }: Sampling): Omit<Sampling, "maxNewTokens"> {
  return rest;
}

function chatMessage({ role, content }: Message): ChatMessage {
  return {
    role,
    content: content.map((part) => (part.type === "text" ? part : { type: "image", image: readInput(part.image) })),
  } as ChatMessage;
}

/** Codes where they are known: they are what the model wrote or read. */
function readInput({ blob, codes }: PageImage): ReadInput {
  return codes ? (codes as CodesInput) : blob;
}

async function drawn(image: DrawnImage): Promise<PageImage> {
  return { blob: await image.toBlob(), codes: plainCodes(image.codes), seed: image.seed };
}

export function plainCodes({ grid, codes, width, height }: ImageCodes): Codes {
  return { grid, codes: [...codes], width, height };
}

/** Previews are encoded while the next step is computed. */
function preview(onPiece: CallContext["onPiece"]): (image: Image) => void {
  return (image) => void image.toBlob().then((blob) => onPiece({ type: "preview", blob }), ignore);
}

const ignore = () => undefined;
