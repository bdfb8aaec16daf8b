// Conversations from a user's data as training rows for a language model: ids by the model's own chat template, codes for images, a
// loss on the assistant's turns.

import { InputError } from "../errors.ts";
import type { LanguageModelConfig } from "../llm/config.ts";
import { blockVocabulary } from "../llm/config.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { expandRow } from "../sequence/blocks.ts";
import { idsFromCodes } from "../sequence/ids.ts";
import type { Message } from "../text/chat-template.ts";
import type { TextFiles } from "../text/load-text.ts";
import type { ImageCodes } from "../vision/image-codes.ts";
import type { SupervisedRows } from "./loss/block-loss.ts";
import { blockLabels, IGNORED, lossMask } from "./loss/labels.ts";
import { type TrainingSizes, trainingFeeds } from "./loss/language-model-loss.ts";

/** A row without padding; plain data, so it can be stored in a file. */
export interface ConversationRow {
  /** [T] with a placeholder at each position of an image. */
  readonly ids: readonly number[];
  /** [T] 1 at scored blocks. */
  readonly mask: readonly number[];
  /** Codes [M, N] of all its images. */
  readonly codes: readonly number[];
}

/** Blocks of a row, how many are scored, and their labels. */
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
    // Padding may be anything: it is not scored, and nothing before it sees it.
    this.#padId = config.qwen.pad_token_id ?? config.qwen.eos_token_id;
  }

  /** A whole conversation, scored on the assistant's turns. Throws an InputError if there are none or the row is too long. */
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

  /** A conversation with an open assistant turn. */
  opened(messages: readonly Message<ImageCodes>[]): Omit<ConversationRow, "mask"> {
    return this.#expand(this.#text.chatTemplate.encode(messages, this.#text.tokenizer), imagesOf(messages));
  }

  /** Text and images in sequence, all scored. */
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

  /** The size of a row. */
  sizeOf(row: ConversationRow): RowSize {
    const vocabulary = blockVocabulary(this.#config.qwen);
    const { labels, count } = blockLabels(this.#blocks(row, row.ids.length), row.mask, vocabulary);
    const slots = vocabulary.codesPerPatch + 1;
    const scored = Array.from({ length: row.ids.length - 1 }, (_, t) => labels[t * slots] !== IGNORED).filter(Boolean);
    return { blocks: row.ids.length, scored: scored.length, labels: count };
  }

  /** Inputs of the training loss, with the scored counts. Throws an InputError for a row that does not fit. */
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
