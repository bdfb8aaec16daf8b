// Text to ids and back, by a Hugging Face tokenizer.json. User text never becomes special tokens: those
// are placed only by name. Added tokens that are not special (`<think>`, `<|box_start|>`) are one id wherever they occur.

import { Tokenizer } from "@huggingface/tokenizers";
import { readJson, readJsonIfPresent } from "../checkpoint/json-file.ts";
import { ModelError, quote } from "../errors.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { type AddedToken, AddedTokens, type IsPlain } from "./added-tokens.ts";
import { byteCharacters } from "./byte-characters.ts";
import { readTokenizer, TOKENIZER_CONFIG } from "./tokenizer-file.ts";

/** A larger vocabulary file is a mistake or an attack: Qwen3's, with 151,643 entries, takes 11 MB. */
const MAX_FILE_BYTES = 64_000_000;
/** Configs of slow tokenizers list every added token. */
export const MAX_TOKENIZER_CONFIG_BYTES = 16_000_000;

/** Marks of turns and images in Qwen's and Keye's vocabularies: never produced from user text, even if a file does not call them special. */
const STEERING = /^<\|(endoftext|im_start|im_end|vision_start|vision_end|vision_pad|image_pad|video_pad|q_eos)\|>$/;

/** Decodes text incrementally from ids. */
export interface TextStream {
  /** The text completed so far: a character may span several tokens. */
  push(id: number): string;
  end(): string;
}

export class TextTokenizer {
  /** Its source, for messages. */
  readonly file: string;
  /** The largest text id. */
  readonly maxId: number;
  /** Maximum bytes of one id. */
  readonly longestToken: number;
  readonly #tokenizer: Tokenizer;
  readonly #byName: ReadonlyMap<string, AddedToken>;
  readonly #byId: ReadonlyMap<number, AddedToken>;
  /** Tokens matched here and not by the library. */
  readonly #added: AddedTokens;

  /** From the parsed tokenizer.json, and `added_tokens_decoder` of tokenizer_config.json. Throws a ModelError. */
  constructor(json: unknown, file = "tokenizer.json", addedTokensDecoder: unknown = undefined) {
    const definition = readTokenizer(json, file, addedTokensDecoder);
    this.file = file;
    this.maxId = definition.maxId;
    this.longestToken = definition.longestToken;
    try {
      this.#tokenizer = new Tokenizer(definition.json, {});
    } catch (cause) {
      throw new ModelError(`${file}: cannot be used as a tokenizer`, { cause });
    }
    this.#byName = new Map(definition.added.map((token) => [token.content, token]));
    this.#byId = new Map(definition.added.map((token) => [token.id, token]));
    this.#added = new AddedTokens(
      definition.added.filter((token) => !definition.normalized.includes(token)),
      isSpecial,
    );
  }

  /** Reads a model's tokenizer.json and the additions of tokenizer_config.json; throws if it is missing, too large or not a tokenizer. */
  static async load(files: ModelFiles): Promise<TextTokenizer> {
    const json = await readJson(files, "tokenizer.json", MAX_FILE_BYTES);
    const config = await readJsonIfPresent(files, TOKENIZER_CONFIG, MAX_TOKENIZER_CONFIG_BYTES);
    return new TextTokenizer(
      json,
      files.nameOf("tokenizer.json"),
      (config as { added_tokens_decoder?: unknown } | undefined)?.added_tokens_decoder,
    );
  }

  /** Names of the special tokens. */
  get specialNames(): readonly string[] {
    return [...this.#byName.values()].filter(isSpecial).map(({ content }) => content);
  }

  /** Ids of plain text, in which the names of special tokens are ordinary text. */
  encode(text: string): number[] {
    return this.encodeTemplate(text, () => true);
  }

  /** Ids of template text, in which the names of special tokens mean the tokens, except where `isPlain` says text. */
  encodeTemplate(text: string, isPlain: IsPlain = () => false): number[] {
    return this.#added.split(text, isPlain).flatMap((piece) => {
      if (typeof piece !== "string") return [piece.id];
      return piece === "" ? [] : this.#tokenizer.encode(piece, { add_special_tokens: false }).ids;
    });
  }

  /** Text of ids, without special tokens. */
  decode(ids: readonly number[]): string {
    const stream = this.stream();
    return ids.map((id) => stream.push(id)).join("") + stream.end();
  }

  /** Decodes ids as they arrive. */
  stream(): TextStream {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => {
        const added = this.#byId.get(id);
        if (added) return isSpecial(added) ? "" : decoder.decode() + added.content;
        return decoder.decode(this.bytesOf(id), { stream: true });
      },
      end: () => decoder.decode(),
    };
  }

  /** The id of an added token; throws if there is none of that name. */
  special(name: string): number {
    const token = this.#byName.get(name);
    if (!token) throw new ModelError(`${this.file}: has no token ${quote(name)} among its added tokens`);
    return token.id;
  }

  /** The name of an added token; undefined for any other id. */
  addedName(id: number): string | undefined {
    return this.#byId.get(id)?.content;
  }

  /** The token of an id; undefined if text never has it. */
  tokenOf(id: number): string | undefined {
    return this.addedName(id) ?? this.#tokenizer.id_to_token(id);
  }

  /** The bytes that an id adds to a text; none for a special token. */
  bytesOf(id: number): Uint8Array {
    const added = this.#byId.get(id);
    if (added) return new TextEncoder().encode(isSpecial(added) ? "" : added.content);
    return bytesOf(this.#tokenizer.id_to_token(id) ?? "");
  }

  /** Whether an id is a special token. */
  isSpecial(id: number): boolean {
    const token = this.#byId.get(id);
    return token !== undefined && isSpecial(token);
  }
}

function isSpecial({ special, content }: AddedToken): boolean {
  return special || STEERING.test(content);
}

const byteOf: ReadonlyMap<string, number> = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** The bytes of a vocabulary token; a token not written in byte characters stands for itself. */
function bytesOf(token: string): Uint8Array {
  const bytes = Array.from(token, (character) => byteOf.get(character));
  return bytes.includes(undefined) ? new TextEncoder().encode(token) : Uint8Array.from(bytes as number[]);
}
