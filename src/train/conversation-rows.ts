// Conversations of anybody's data as rows that a language model is trained on: ids by the model's own chat template, codes for images, a
// loss on what the assistant says.

import { InputError } from "../errors.ts";
import type { LanguageModelConfig } from "../llm/config.ts";
import { blockVocabulary } from "../llm/config.ts";
import type { SupervisedRows } from "../llm/loss.ts";
import { type TrainingSizes, trainingFeeds } from "../llm/model.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { expandRow } from "../sequence/blocks.ts";
import { idsFromCodes } from "../sequence/ids.ts";
import { blockLabels, IGNORED, lossMask } from "../sequence/labels.ts";
import type { Message } from "../text/chat-template.ts";
import type { TextFiles } from "../text/load-text.ts";
import type { ImageCodes } from "../vision/image-codes.ts";

/** A row without its padding; plain data, so that it can be kept in a file. */
export interface ConversationRow {
  /** [T] with a placeholder at each position of an image. */
  readonly ids: readonly number[];
  /** [T] 1 where the loss is. */
  readonly mask: readonly number[];
  /** [M, N] of all its images. */
  readonly codes: readonly number[];
}

/** Blocks of a row, blocks of it that are scored, and labels of those. */
export interface RowSize {
  readonly blocks: number;
  readonly scored: number;
  readonly labels: number;
}

export class ConversationRows {
  readonly #text: TextFiles;
  readonly #config: LanguageModelConfig;
  readonly #padId: number;

  constructor(text: TextFiles, config: LanguageModelConfig) {
    this.#text = text;
    this.#config = config;
    // Behind a row's end anything may stand: nothing is scored there and nothing before sees it.
    this.#padId = config.qwen.pad_token_id ?? config.qwen.eos_token_id;
  }

  /** A whole conversation; what the assistant says is scored. Throws an InputError when it says nothing or the row is too long. */
  conversation(messages: readonly Message<ImageCodes>[]): ConversationRow {
    const { tokenizer, chatTemplate } = this.#text;
    const row = this.#expand(
      chatTemplate.encode(messages, tokenizer, { addGenerationPrompt: false }),
      imagesOf(messages),
    );
    const [start, end] = [tokenizer.special("<|im_start|>"), tokenizer.special("<|im_end|>")];
    const patterns = {
      start: [start, ...tokenizer.encode("assistant\n")],
      end: [end, ...tokenizer.encode("\n")],
    };
    return { ...row, mask: [...scoredAs(row.ids, patterns)] };
  }

  /** A conversation with the answer's turn opened. */
  opened(messages: readonly Message<ImageCodes>[]): Omit<ConversationRow, "mask"> {
    return this.#expand(this.#text.chatTemplate.encode(messages, this.#text.tokenizer), imagesOf(messages));
  }

  /** Text and images in turn, all of it scored. */
  document(parts: readonly (string | ImageCodes)[]): ConversationRow {
    const { tokenizer } = this.#text;
    const { visionStart, visionEnd, imagePad } = blockVocabulary(this.#config.qwen);
    const ids = parts.flatMap((part) =>
      typeof part === "string" ? tokenizer.encode(part) : [visionStart, imagePad, visionEnd],
    );
    const images = parts.filter((part): part is ImageCodes => typeof part !== "string");
    const row = this.#expand([...ids, this.#config.qwen.eos_token_id], images);
    return { ...row, mask: row.ids.map(() => 1) };
  }

  /** How much room a row takes. */
  sizeOf(row: ConversationRow): RowSize {
    const vocabulary = blockVocabulary(this.#config.qwen);
    const { labels, count } = blockLabels(this.#blocks(row, row.ids.length), row.mask, vocabulary);
    const slots = vocabulary.codesPerPatch + 1;
    const scored = Array.from({ length: row.ids.length - 1 }, (_, t) => labels[t * slots] !== IGNORED).filter(Boolean);
    return { blocks: row.ids.length, scored: scored.length, labels: count };
  }

  /** Inputs of the training loss, with what was scored. Throws an InputError for a row that does not fit. */
  feeds(
    rows: readonly ConversationRow[],
    sizes: TrainingSizes,
  ): { feeds: Record<string, HostTensor>; scored: SupervisedRows } {
    const T = sizes.blocks;
    const packed = rows.map((row) => {
      if (row.ids.length > T) throw new InputError(`a conversation takes ${row.ids.length} positions, more than ${T}`);
      const mask = Uint8Array.from({ length: T }, (_, t) => row.mask[t] ?? 0);
      return { blocks: this.#blocks(row, T), lossMask: mask, cuSegments: [0, T] };
    });
    return trainingFeeds(packed, this.#config, sizes);
  }

  #blocks({ ids, codes }: ConversationRow, length: number): Int32Array {
    const vocabulary = blockVocabulary(this.#config.qwen);
    const padded = Int32Array.from({ length }, (_, t) => ids[t] ?? this.#padId);
    return expandRow(padded, idsFromCodes(codes, vocabulary), vocabulary);
  }

  #expand(encoded: readonly number[], images: readonly ImageCodes[]): Omit<ConversationRow, "mask"> {
    const { imagePad } = blockVocabulary(this.#config.qwen);
    let next = 0;
    const ids = encoded.flatMap((id) => {
      if (id !== imagePad) return [id];
      const [rows, columns] = images[next++]!.grid;
      return new Array<number>(rows * columns).fill(id);
    });
    const room = this.#config.qwen.max_seq_len;
    if (ids.length > room) throw new InputError(`a conversation of ${ids.length} positions; this model reads ${room}`);
    return { ids, codes: images.flatMap(({ codes }) => [...codes]) };
  }
}

function scoredAs(ids: readonly number[], patterns: Parameters<typeof lossMask>[1]): Uint8Array {
  try {
    return lossMask(ids, patterns);
  } catch (cause) {
    throw new InputError(`nothing to learn: ${(cause as Error).message}`, { cause });
  }
}

function imagesOf(messages: readonly Message<ImageCodes>[]): ImageCodes[] {
  return messages.flatMap(({ content }) =>
    typeof content === "string" ? [] : content.flatMap((part) => (part.type === "image" ? [part.image] : [])),
  );
}
