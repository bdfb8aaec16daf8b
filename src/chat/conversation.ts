// A conversation as blocks: text by the model's chat template, images as their codes.

import { InputError } from "../errors.ts";
import type { ImageInput } from "../image/image-input.ts";
import { expandRow } from "../sequence/blocks.ts";
import { idsFromCodes } from "../sequence/ids.ts";
import { type BlockIds, type BlockVocabulary, slotsPerBlock } from "../sequence/layout.ts";
import { imagesOf, type Message } from "../text/chat-template.ts";
import type { TextFiles } from "../text/load-text.ts";
import type { CodesInput, ImageCodes } from "../vision/image-codes.ts";

/** A turn: text, or parts of text and images in any order. An image may be given as its codes. */
export type ChatMessage = Message<ImageInput | CodesInput>;

/**
 * A message as TypeScript sees one that was put into a variable first, without `as const`: of its role and its parts it then knows
 * only that they are texts. They are checked when it is used.
 */
export interface WidenedMessage {
  readonly role: string;
  readonly content: string | readonly WidenedPart[];
}

export interface WidenedPart {
  readonly type: string;
  readonly text?: string | undefined;
  readonly image?: ImageInput | CodesInput | undefined;
}

/** Characters that Unicode's normal forms make one of, at most. */
const MAX_COMPOSED = 3;

export interface ConversationSetting {
  readonly text: TextFiles;
  readonly vocabulary: BlockVocabulary;
  /** Blocks that the model reads at most. */
  readonly room: number;
  /** Ids after the opening of an answer, which the conversation ends with; `none` for one that ends with its last turn. */
  readonly answer?: readonly number[] | "none";
}

/**
 * Messages, which checkMessages has passed, as blocks [T, N+1], with the codes of their images in order. Throws an InputError where
 * they do not leave room for an answer.
 */
export function conversation(
  messages: readonly ChatMessage[],
  images: readonly ImageCodes[],
  { text, vocabulary, room, answer = [] }: ConversationSetting,
): BlockIds {
  const encoded = text.chatTemplate.encode(messages, text.tokenizer, {
    maxCharacters: room * text.tokenizer.longestToken * MAX_COMPOSED,
    addGenerationPrompt: answer !== "none",
  });
  const row: number[] = [];
  let next = 0;
  for (const id of encoded) {
    const [rows, columns] = id === vocabulary.imagePad ? images[next++]!.grid : [1, 1];
    for (let i = 0; i < rows * columns; i++) row.push(id);
  }
  if (answer !== "none") row.push(...answer);
  checkRoom(row.length, room);
  const ids = images.flatMap(({ codes }) => [...idsFromCodes(codes, vocabulary)]);
  return expandRow(row, ids, vocabulary);
}

/** A conversation that ends with its last turn, as blocks [T, N+1]. */
export interface LastTurn {
  readonly row: BlockIds;
  /** What the turn says, with the mark that ends it: blocks `start` up to `end`. */
  readonly start: number;
  readonly end: number;
  /** Its images. */
  readonly images: readonly ImageCodes[];
}

/** A conversation without the opening of an answer. Otherwise as `conversation`. */
export function lastTurn(
  messages: readonly ChatMessage[],
  images: readonly ImageCodes[],
  setting: ConversationSetting,
): LastTurn {
  const { vocabulary } = setting;
  const slots = slotsPerBlock(vocabulary);
  const last = messages.at(-1)!;
  const before = images.length - imagesOf([last]).length;
  const row = conversation(messages, images, { ...setting, answer: "none" });
  const empty = conversation([...messages.slice(0, -1), { role: last.role, content: "" }], images.slice(0, before), {
    ...setting,
    answer: "none",
  });
  // Both have the turn's opening; then the empty one has the mark that no text can spell.
  const leads = (blocks: BlockIds) => Array.from({ length: blocks.length / slots }, (_, t) => blocks[t * slots]!);
  const [said, unsaid] = [leads(row), leads(empty)];
  const differs = said.findIndex((id, t) => id !== unsaid[t]);
  const start = differs < 0 ? Math.max(said.lastIndexOf(vocabulary.eos), 1) : differs;
  const mark = said.indexOf(vocabulary.eos, start);
  return { row, start, end: mark < 0 ? said.length : mark + 1, images: images.slice(before) };
}

function checkRoom(length: number, room: number): void {
  if (length < room) return;
  throw new InputError(`The conversation takes ${length} positions; with an answer this model reads at most ${room}`, {
    code: "too_long",
  });
}
