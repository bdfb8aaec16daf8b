// What a caller says to the model, checked, and as blocks: text by the chat template, images as their codes.

import { InputError } from "./errors.ts";
import type { ImageInput } from "./image/image-input.ts";
import { checkMessages } from "./message-check.ts";
import { expandRow } from "./sequence/blocks.ts";
import { idsFromCodes } from "./sequence/ids.ts";
import type { BlockIds, BlockVocabulary } from "./sequence/layout.ts";
import { imagesOf, type Message } from "./text/chat-template.ts";
import type { TextFiles } from "./text/load-text.node.ts";
import { type CodesInput, ImageCodes, isCodesInput } from "./vision/image-codes.ts";

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

export interface ConversationReader {
  readonly text: TextFiles;
  readonly vocabulary: BlockVocabulary;
  /** Blocks that the model reads at most. */
  readonly room: number;
  readonly tokenize: (image: ImageInput) => Promise<ImageCodes>;
  /** Throws unless the codes are some that the model could have made. */
  readonly readCodes: (codes: CodesInput) => ImageCodes;
}

/** A conversation as blocks [T, N+1] with the answer's turn opened, and `then` ids after it. */
export async function readConversation(
  messages: readonly (ChatMessage | WidenedMessage)[],
  { text, vocabulary, room, tokenize, readCodes }: ConversationReader,
  then: readonly number[] = [],
): Promise<BlockIds> {
  checkMessages(messages);
  const images = imagesOf(messages);
  const maxCharacters = room * text.tokenizer.longestToken * MAX_COMPOSED;
  const encoded = text.chatTemplate.encode(messages, text.tokenizer, { maxCharacters });
  checkRoom(encoded.length, room);
  // Codes are checked before any image is tokenized.
  const found = images.map((image) => (isCodesInput(image) ? readCodes(image) : image));
  const read: ImageCodes[] = [];
  for (const image of found) read.push(image instanceof ImageCodes ? image : await tokenize(image));
  const row: number[] = [];
  let next = 0;
  for (const id of encoded) {
    const [rows, columns] = id === vocabulary.imagePad ? read[next++]!.grid : [1, 1];
    for (let i = 0; i < rows * columns; i++) row.push(id);
  }
  row.push(...then);
  checkRoom(row.length, room);
  const ids = read.flatMap(({ codes }) => [...idsFromCodes(codes, vocabulary)]);
  return expandRow(row, ids, vocabulary);
}

function checkRoom(length: number, room: number): void {
  if (length < room) return;
  throw new InputError(`The conversation takes ${length} positions; with an answer this model reads at most ${room}`, {
    code: "too_long",
  });
}
