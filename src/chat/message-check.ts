// What a caller says to the model, checked before any work: one sentence names the first message or part that cannot be used, what
// it is, and, where other libraries write it so, how it is written here.

import { excerpt, InputError, quote } from "../errors.ts";
import { findImage } from "../image/image-input.ts";
import { isCodesInput } from "../vision/image-codes.ts";
import type { ChatMessage } from "./conversation.ts";

/** More images than any model's context holds; rejected before any is opened. */
const MAX_IMAGES = 256;

const roles = ["system", "user", "assistant"];

type Fields = Readonly<Record<string, unknown>>;

/** Throws an InputError unless these are messages. */
export function checkMessages(messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages)) {
    const isText = typeof messages === "string";
    const wanted = `Expected a list of messages, such as [{ role: "user", content: "Hello" }]`;
    if (isText) throw refuse(`${wanted}, got the text ${quote(messages)}`);
    const isOne = isFields(messages) && "role" in messages;
    throw refuse(`${wanted}, got ${isOne ? "one message; put it into a list" : quote(messages)}`);
  }
  if (messages.length === 0) throw refuse("Expected at least one message, got an empty list");
  let images = 0;
  for (const [i, message] of messages.entries()) images += checkMessage(message, `messages[${i}]`);
  if (images > MAX_IMAGES) {
    throw new InputError(`Expected at most ${MAX_IMAGES} images in a conversation, got ${images}`, {
      code: "too_long",
    });
  }
}

/** How many images a message has. */
function checkMessage(message: unknown, at: string): number {
  if (!isFields(message)) throw refuse(`${at}: expected { role, content }, got ${quote(message)}`);
  const { role, content } = message;
  if (typeof role !== "string" || !roles.includes(role)) {
    throw refuse(`${at}: expected the role system, user or assistant, got ${quote(role)}`);
  }
  refuseFields(message, messageFields, at);
  if (typeof content === "string") return 0;
  if (!Array.isArray(content)) {
    throw refuse(`${at}.content: expected a text or a list of parts, got ${quote(content)}`);
  }
  return content.filter((part, k) => isImagePart(part, `${at}.content[${k}]`)).length;
}

function isImagePart(part: unknown, at: string): boolean {
  if (isFields(part)) {
    if (part.type === "text" && typeof part.text === "string") return false;
    if (part.type === "image" && part.image !== undefined && part.image !== null) {
      refuseFields(part, imageFields, at);
      checkImage(part.image, at);
      return true;
    }
  }
  const wanted = `${at}: expected { type: "text", text } or { type: "image", image }`;
  throw refuse(`${wanted}, got ${quote(part)}${advise(part)}`);
}

function checkImage(image: unknown, at: string): void {
  if (isCodesInput(image)) return; // the model checks these
  try {
    findImage(image);
  } catch (error) {
    const { message } = error as InputError;
    throw new InputError(`${at}.image: ${message}`, { code: "invalid_image", cause: error });
  }
}

/** Fields with a meaning elsewhere, which would be silently lost here. */
function refuseFields(fields: Fields, unknown: ReadonlyMap<string, string>, at: string): void {
  for (const [name, advice] of unknown) {
    const value = fields[name];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    throw refuse(`${at}: ${name} is not supported; ${advice}`);
  }
}

const asParts = 'an image is a part of the content: { type: "image", image }';
const noTools = "the model calls no tools";

const messageFields: ReadonlyMap<string, string> = new Map([
  ["images", asParts],
  ["parts", "the parts of a message are its `content`"],
  ["attachments", asParts],
  ["experimental_attachments", asParts],
  ["tool_calls", noTools],
  ["tool_call_id", noTools],
  ["function_call", noTools],
]);

const ownSize = "an image is resized as the model's preprocessor_config.json says";

const imageFields: ReadonlyMap<string, string> = new Map(
  ["min_pixels", "max_pixels", "resized_height", "resized_width", "detail"].map((name) => [name, ownSize]),
);

/** How a part of another library is written here. */
function advise(part: unknown): string {
  if (typeof part === "string") return '; write { type: "text", text } around it';
  if (!isFields(part)) return "";
  const { type } = part;
  if (type === "image_url" || type === "input_image") return '; write { type: "image", image: url }';
  if (type === "input_text" || type === "output_text") return '; write { type: "text", text }';
  if (type === "image") return "; the image itself (a path, a URL, bytes or pixels) stands in `image`";
  if (type === "file") return '; an image is { type: "image", image }, and no other file is read';
  if (type === "video" || type === "video_url" || type === "audio" || type === "input_audio") {
    return `; ${excerpt(type)} is not supported`;
  }
  if (type === "text") return "; its `text` must be a text";
  if (type === undefined && (part.image !== undefined || part.text !== undefined)) return "; its `type` is missing";
  return "";
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(message: string): InputError {
  return new InputError(message, { code: "invalid_messages" });
}
