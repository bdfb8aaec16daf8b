// A row of JSON Lines, Parquet or a tar -> an example. All formats share the row shapes listed in docs/data.md.

import { parseJson } from "../checkpoint/strict-json.ts";
import { InputError, quote } from "../errors.ts";
import type { Example, Part, StoredImage, Turn } from "./example.ts";

/** No legitimate row has more. */
const MAX_IMAGES = 256;
const MAX_TURNS = 1024;

export interface RowReader {
  /** The file and the line or sample, for messages. */
  readonly where: string;
  /** An image in a row: a path, a data URL, base64, or bytes. Throws an InputError. */
  image(value: unknown): StoredImage;
}

type Fields = Readonly<Record<string, unknown>>;

/** Throws an InputError that starts with `where`. */
export function readRow(row: unknown, reader: RowReader): Example {
  const { where } = reader;
  try {
    return { where, ...readFields(row, reader) } as Example;
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`${where}: ${cause.message}`, { code: cause.code, cause });
  }
}

type Unplaced = Example extends infer E ? (E extends Example ? Omit<E, "where"> : never) : never;

function readFields(row: unknown, reader: RowReader): Unplaced {
  if (!isFields(row)) throw new InputError(`expected an object, got ${quote(row)}`);
  const images = new RowImages(row, reader);
  const messages = unpack(row.messages ?? row.message, "messages");
  if (messages !== undefined) return { kind: "chat", turns: readTurns(messages, images) };
  const segments = unpack(row.segments, "segments");
  if (segments !== undefined) return { kind: "document", parts: readParts(segments, "segments", images) };
  const { question, answer } = row;
  if (question !== undefined || answer !== undefined) {
    const asked = { type: "text", text: text(question, "question") } as const;
    const image = isAbsent(row.image) ? [] : [{ type: "image", image: reader.image(row.image) } as const];
    const said = { type: "text", text: text(answer, "answer") } as const;
    return {
      kind: "chat",
      turns: [
        { role: "user", content: [...image, asked] },
        { role: "assistant", content: [said] },
      ],
    };
  }
  const caption = row.caption ?? row.text;
  if (!isAbsent(row.image)) {
    const image = reader.image(row.image);
    return isAbsent(caption) ? { kind: "image", image } : { kind: "caption", image, caption: text(caption, "caption") };
  }
  if (!isAbsent(row.text)) return { kind: "document", parts: [{ type: "text", text: text(row.text, "text") }] };
  throw new InputError(
    `has none of the known sets of fields: image and caption; image, question and answer; messages; segments; text. It has ${quote(Object.keys(row))}`,
  );
}

/** A list, or its JSON text. */
function unpack(value: unknown, name: string): readonly unknown[] | undefined {
  if (isAbsent(value)) return undefined;
  const list = typeof value === "string" ? parseText(value, name) : value;
  if (!Array.isArray(list) || list.length === 0) throw new InputError(`${name}: expected a list, got ${quote(list)}`);
  if (list.length > MAX_TURNS)
    throw new InputError(`${name}: has ${list.length} entries, at most ${MAX_TURNS} are read`);
  return list;
}

function readTurns(messages: readonly unknown[], images: RowImages): Turn[] {
  const turns = messages.map((message, i): Turn => {
    const at = `messages[${i}]`;
    if (!isFields(message)) throw new InputError(`${at}: expected { role, content }, got ${quote(message)}`);
    const { role, content } = message;
    if (role !== "system" && role !== "user" && role !== "assistant")
      throw new InputError(`${at}: expected the role system, user or assistant, got ${quote(role)}`);
    return { role, content: readParts(content, `${at}.content`, images) };
  });
  if (!turns.some(({ role, content }) => role === "assistant" && content.length > 0))
    throw new InputError("messages: the assistant says nothing, so there is nothing to learn");
  return turns;
}

function readParts(content: unknown, at: string, images: RowImages): Part[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  if (!Array.isArray(content)) throw new InputError(`${at}: expected a text or a list of parts, got ${quote(content)}`);
  return content.map((part, i): Part => {
    if (typeof part === "string") return { type: "text", text: part };
    if (isFields(part) && part.type === "text") return { type: "text", text: text(part.text, `${at}[${i}].text`) };
    if (isFields(part) && (part.type === "image" || part.type === "image_gen"))
      return { type: "image", image: images.next(part.image ?? part[String(part.type)]) };
    const kind = isFields(part) ? part.type : part;
    throw new InputError(`${at}[${i}]: expected a part of type text or image, got ${quote(kind)}`);
  });
}

/** The images of one row: named in a table, listed in order of use, or given inline. */
class RowImages {
  readonly #reader: RowReader;
  readonly #named: Fields;
  readonly #listed: readonly unknown[];
  #used = 0;
  #count = 0;

  constructor(row: Fields, reader: RowReader) {
    this.#reader = reader;
    const { images, image } = row;
    const table = typeof images === "string" ? parseText(images, "images") : images;
    if (!isAbsent(table) && !isFields(table) && !Array.isArray(table))
      throw new InputError(`images: expected a list, or an object of names and images, got ${quote(table)}`);
    this.#named = isFields(table) ? table : {};
    this.#listed = Array.isArray(table) ? table : isAbsent(image) ? [] : [image];
  }

  /** The image named by a part or, if it names none, the next of the list. */
  next(value: unknown): StoredImage {
    if (++this.#count > MAX_IMAGES)
      throw new InputError(`has more than ${MAX_IMAGES} images, the most that a row may have`);
    if (isAbsent(value)) {
      const listed = this.#listed[this.#used++];
      if (isAbsent(listed)) throw new InputError(`mentions ${this.#count} images, but has ${this.#listed.length}`);
      return this.#reader.image(listed);
    }
    const named = typeof value === "string" && Object.hasOwn(this.#named, value) ? this.#named[value] : value;
    return this.#reader.image(named);
  }
}

function parseText(json: string, name: string): unknown {
  try {
    return parseJson(Buffer.from(json), name);
  } catch (cause) {
    throw new InputError((cause as Error).message, { cause });
  }
}

function text(value: unknown, name: string): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new InputError(`${name}: expected a text, got ${value === "" ? "an empty one" : quote(value)}`);
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}
