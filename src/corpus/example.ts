// One example of a user's training data, from any format. Images are named here and read when needed.

import type { RgbImage } from "../image/rgb.ts";
import type { Role } from "../text/chat-template.ts";

/** An image not yet read. */
export interface StoredImage {
  /** Its file or its place in a row, for messages. */
  readonly name: string;
  /** Throws an InputError if it cannot be decoded. */
  read(): Promise<RgbImage>;
}

export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly image: StoredImage };

export interface Turn {
  readonly role: Role;
  readonly content: readonly Part[];
}

/** `where` is the file and the line or sample, for messages. */
export type Example = { readonly where: string } & (
  | { readonly kind: "image"; readonly image: StoredImage }
  /** Used both ways: to describe the image, or to draw it. */
  | { readonly kind: "caption"; readonly image: StoredImage; readonly caption: string }
  /** Only the assistant's turns are trained on. */
  | { readonly kind: "chat"; readonly turns: readonly Turn[] }
  /** Text, or text and images in sequence, all trained on. */
  | { readonly kind: "document"; readonly parts: readonly Part[] }
);

/** Examples that can be read in any order. */
export interface DataSource {
  /** A description of the source, such as "3 shards of WebDataset". */
  readonly format: string;
  readonly count: number;
  /** Sizes of groups of examples that are cheap to read together, in order; absent if each can be read alone. */
  readonly groups?: readonly number[];
  /** Identifies the rows, wherever they are stored. Image files beside the rows are not part of it. */
  readonly fingerprint: string;
  /** Reads an example; its images are not decoded yet. Throws an InputError that says where it is if it cannot be used. */
  read(index: number): Promise<Example>;
  /** A label for an example: a name, the key of a sample, or the number of a row from 1. */
  key(index: number): Promise<string>;
  close(): Promise<void>;
}

/** The images of an example, in order of mention. */
export function imagesOf(example: Example): readonly StoredImage[] {
  if (example.kind === "image" || example.kind === "caption") return [example.image];
  const parts = example.kind === "document" ? example.parts : example.turns.flatMap(({ content }) => content);
  return parts.flatMap((part) => (part.type === "image" ? [part.image] : []));
}
