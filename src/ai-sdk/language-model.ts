// generateText and streamText: text as it is written, and images as files.

import {
  InvalidPromptError,
  type JSONObject,
  type LanguageModelV3,
  type LanguageModelV3CallOptions,
  type LanguageModelV3Content,
  type LanguageModelV3FinishReason,
  type LanguageModelV3GenerateResult,
  type LanguageModelV3Message,
  type LanguageModelV3StreamPart,
  type LanguageModelV3StreamResult,
  type SharedV3Warning,
} from "@ai-sdk/provider";
import type { AnswerPiece, AskedAnswer, AskedMessage, AskedPart, Backend } from "./backend.ts";
import { kelixOptions, unsupported } from "./backend.ts";

const MEDIA_TYPE = "image/png";
const TEXT_ID = "0";

export function languageModel(backend: Backend, provider: string, modelId: string): LanguageModelV3 {
  return {
    specificationVersion: "v3",
    provider,
    modelId,
    supportedUrls: {}, // the AI SDK fetches them, and hands over bytes
    async doGenerate(options) {
      const { asked, warnings } = readCall(options);
      const content: LanguageModelV3Content[] = [];
      for await (const piece of backend.answer(modelId, asked, settingOf(options))) {
        if (piece.type === "end") return resultOf(content, piece, warnings, modelId);
        const last = content.at(-1);
        if (piece.type === "image") content.push(fileOf(piece));
        else if (last?.type === "text") content[content.length - 1] = { type: "text", text: last.text + piece.text };
        else content.push({ type: "text", text: piece.text });
      }
      throw new Error("The answer has no end");
    },
    async doStream(options): Promise<LanguageModelV3StreamResult> {
      const { asked, warnings } = readCall(options);
      const pieces = backend.answer(modelId, asked, settingOf(options))[Symbol.asyncIterator]();
      const first = await pieces.next(); // what is wrong with the call is thrown here, where it can be tried again
      const parts = partsOf(first, pieces, warnings, modelId);
      return {
        stream: new ReadableStream<LanguageModelV3StreamPart>({
          async pull(controller) {
            const { done, value } = await parts.next();
            if (done) controller.close();
            else controller.enqueue(value);
          },
          async cancel() {
            await pieces.return?.();
          },
        }),
      };
    },
  };
}

/** The parts of a stream. What fails on the way is a part too, as the AI SDK wants it. */
async function* partsOf(
  first: IteratorResult<AnswerPiece>,
  pieces: AsyncIterator<AnswerPiece>,
  warnings: SharedV3Warning[],
  modelId: string,
): AsyncGenerator<LanguageModelV3StreamPart, void, void> {
  yield { type: "stream-start", warnings };
  yield { type: "response-metadata", modelId, timestamp: new Date() };
  let [number, isOpen] = [0, false];
  const id = () => `${TEXT_ID}-${number}`;
  try {
    for (let { done, value } = first; !done; { done, value } = await pieces.next()) {
      const piece = value as AnswerPiece;
      if (piece.type === "text") {
        if (!isOpen) yield { type: "text-start", id: id() };
        isOpen = true;
        yield { type: "text-delta", id: id(), delta: piece.text };
        continue;
      }
      if (isOpen) yield { type: "text-end", id: id() };
      if (isOpen) number++;
      isOpen = false;
      if (piece.type === "image") yield fileOf(piece);
      else yield { type: "finish", usage: piece.usage, finishReason: finishOf(piece.finishReason) };
    }
  } catch (error) {
    yield { type: "error", error };
  }
}

function resultOf(
  content: LanguageModelV3Content[],
  { finishReason, usage }: Extract<AnswerPiece, { type: "end" }>,
  warnings: SharedV3Warning[],
  modelId: string,
): LanguageModelV3GenerateResult {
  const response = { modelId, timestamp: new Date() };
  return { content, finishReason: finishOf(finishReason), usage, warnings, response };
}

function fileOf({ data, facts }: Extract<AnswerPiece, { type: "image" }>) {
  return { type: "file" as const, mediaType: MEDIA_TYPE, data, providerMetadata: { kelix: facts } };
}

function finishOf(raw: string): LanguageModelV3FinishReason {
  return { unified: raw === "stop" || raw === "length" ? raw : "other", raw };
}

function settingOf({ abortSignal, headers }: LanguageModelV3CallOptions) {
  return { signal: abortSignal, headers };
}

/** What is asked for, and what of it cannot be had. */
function readCall(options: LanguageModelV3CallOptions): { asked: AskedAnswer; warnings: SharedV3Warning[] } {
  const { prompt, maxOutputTokens, stopSequences = [], temperature, topP, topK, seed, responseFormat, tools } = options;
  const { images = true, steps, guidance } = kelixOptions(options.providerOptions);
  const warnings: SharedV3Warning[] = [];
  if (tools && tools.length > 0) warnings.push(unsupported("tools"));
  if (options.presencePenalty) warnings.push(unsupported("presencePenalty"));
  if (options.frequencyPenalty) warnings.push(unsupported("frequencyPenalty"));
  if (responseFormat?.type === "json") warnings.push(unsupported("responseFormat", "answers are plain text"));
  const sampling = { seed, temperature, topP, topK, steps, guidance };
  const messages = prompt.flatMap(messageOf);
  return {
    asked: { messages, mayDraw: images, maxTokens: maxOutputTokens, stop: stopSequences, ...sampling },
    warnings,
  };
}

function messageOf(message: LanguageModelV3Message): AskedMessage[] {
  const { role, content } = message;
  if (role === "tool") throw refuse(message, "the model calls no tools, so a conversation has no results of theirs");
  if (role === "system") return [{ role, content: [{ type: "text", text: content }] }];
  return [{ role, content: content.flatMap((part) => partOf(part, message)) }];
}

type Part = Exclude<LanguageModelV3Message, { role: "system" | "tool" }>["content"][number];

function partOf(part: Part, message: LanguageModelV3Message): AskedPart[] {
  if (part.type === "text") return [{ type: "text", text: part.text }];
  if (part.type === "reasoning") return []; // of another model
  if (part.type !== "file") throw refuse(message, `a part is a ${part.type}; the model knows texts and images`);
  if (!part.mediaType.startsWith("image/"))
    throw refuse(message, `a file is ${part.mediaType}; the model reads images`);
  if (part.data instanceof URL) throw refuse(message, "an image is a URL; pass its bytes");
  const { codes } = (part.providerOptions?.kelix ?? {}) as { readonly codes?: JSONObject };
  return [{ type: "image", image: part.data, ...(codes && { codes }) }];
}

function refuse(prompt: unknown, why: string): InvalidPromptError {
  return new InvalidPromptError({ prompt, message: `Kelix cannot read the conversation: ${why}` });
}
