// What a caller says to the model, checked, and as blocks: text by the chat template, pictures as their codes.

import type { ImageInput } from "./image/picture.ts";
import { expandRow } from "./sequence/blocks.ts";
import { idsFromCodes } from "./sequence/ids.ts";
import type { BlockIds, BlockVocabulary } from "./sequence/layout.ts";
import { type Message, picturesOf } from "./text/chat-template.ts";
import type { TextFiles } from "./text/load-text.node.ts";
import { type ImageCodes, isImageCodes } from "./vision/picture-tokenizer.ts";

/** A turn: text, or parts of text and pictures in any order. A picture may be given as its codes. */
export type ChatMessage = Message<ImageInput | ImageCodes>;

/** More pictures than any model's context holds; refused before any is opened. */
const MAX_PICTURES = 256;

export interface ConversationReader {
  readonly text: TextFiles;
  readonly vocabulary: BlockVocabulary;
  /** Blocks that the model reads at most. */
  readonly room: number;
  readonly tokenize: (image: ImageInput) => Promise<ImageCodes>;
  /** Throws unless the codes are some that the model could have made. */
  readonly check: (codes: ImageCodes) => Promise<void>;
}

/** A conversation as blocks [T, N+1] with the answer's turn opened, and `then` ids after it. */
export async function readConversation(
  messages: readonly ChatMessage[],
  { text, vocabulary, room, tokenize, check }: ConversationReader,
  then: readonly number[] = [],
): Promise<BlockIds> {
  checkMessages(messages);
  const images = picturesOf(messages);
  if (images.length > MAX_PICTURES) {
    throw new Error(`Expected at most ${MAX_PICTURES} pictures in a conversation, got ${images.length}`);
  }
  const encoded = text.chatTemplate.encode(messages, text.tokenizer);
  checkRoom(encoded.length, room);
  const pictures: ImageCodes[] = [];
  for (const image of images) {
    if (isImageCodes(image)) await check(image);
    pictures.push(isImageCodes(image) ? image : await tokenize(image));
  }
  const row: number[] = [];
  let next = 0;
  for (const id of encoded) {
    const [rows, columns] = id === vocabulary.imagePad ? pictures[next++]!.grid : [1, 1];
    for (let i = 0; i < rows * columns; i++) row.push(id);
  }
  row.push(...then);
  checkRoom(row.length, room);
  const ids = pictures.flatMap(({ codes }) => [...idsFromCodes(codes, vocabulary)]);
  return expandRow(row, ids, vocabulary);
}

function checkRoom(length: number, room: number): void {
  if (length < room) return;
  throw new Error(`The conversation takes ${length} positions; with an answer this model reads at most ${room}`);
}

/** Throws one sentence that names the first message or part that is none. */
function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages) || messages.length === 0) throw new Error("Expected at least one message");
  for (const [i, { role, content }] of messages.entries()) {
    const at = `messages[${i}]`;
    if (!["system", "user", "assistant"].includes(role)) {
      throw new Error(`${at}: expected the role system, user or assistant, got ${JSON.stringify(role)}`);
    }
    if (typeof content === "string") continue;
    if (!Array.isArray(content)) throw new Error(`${at}.content: expected a text or a list of parts`);
    for (const [k, part] of content.entries()) {
      const isPart =
        part?.type === "text" ? typeof part.text === "string" : part?.type === "image" && part.image != null;
      if (!isPart) {
        throw new Error(`${at}.content[${k}]: expected { type: "text", text } or { type: "image", image }`);
      }
    }
  }
}
