// Text to ids and back, by a Hugging Face tokenizer.json. Text from users never turns into the tokens that steer a model: those
// are placed by name alone. Added tokens that are not special (`<think>`, `<|box_start|>`) are one id wherever they stand.

import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { readJson, readJsonIfPresent } from "../checkpoint/json-file.ts";
import { ModelError, quote } from "../errors.ts";
import { type AddedToken, readTokenizer, TOKENIZER_CONFIG } from "./tokenizer-file.ts";

/** A vocabulary file beyond this is a mistake or an attack: Qwen3's, with 151,643 entries, takes 11 MB. */
const MAX_FILE_BYTES = 64_000_000;
/** Configs of slow tokenizers list every added token. */
export const MAX_TOKENIZER_CONFIG_BYTES = 16_000_000;

/** What marks turns and images in Qwen's and Keye's vocabularies: never made of a user's text, even where a file does not call them special. */
const STEERING = /^<\|(endoftext|im_start|im_end|vision_start|vision_end|vision_pad|image_pad|video_pad|q_eos)\|>$/;

export class TextTokenizer {
  /** Where it was read from, for messages. */
  readonly file: string;
  /** The largest id that text can have. */
  readonly maxId: number;
  readonly #tokenizer: Tokenizer;
  readonly #added: ReadonlyMap<string, AddedToken>;
  readonly #special: ReadonlyMap<string, AddedToken>;
  readonly #specialIds: ReadonlySet<number>;
  /** Splits text at the names of special tokens, which are kept; the longest first. */
  readonly #atSpecial: RegExp;

  /** From the parsed tokenizer.json, and `added_tokens_decoder` of tokenizer_config.json. Throws a ModelError. */
  constructor(json: unknown, file = "tokenizer.json", addedTokensDecoder: unknown = undefined) {
    const definition = readTokenizer(json, file, addedTokensDecoder);
    this.file = file;
    this.maxId = definition.maxId;
    try {
      this.#tokenizer = new Tokenizer(definition.json, {});
    } catch (cause) {
      throw new ModelError(`${file}: cannot be used as a tokenizer`, { cause });
    }
    this.#added = new Map(definition.added.map((token) => [token.content, token]));
    const special = definition.added.filter((token) => token.special || STEERING.test(token.content));
    this.#special = new Map(special.map((token) => [token.content, token]));
    this.#specialIds = new Set(special.map(({ id }) => id));
    const names = [...this.#special.keys()].sort((a, b) => b.length - a.length);
    this.#atSpecial = new RegExp(
      `(${names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|") || "(?!)"})`,
    );
  }

  /** Reads tokenizer.json of a model's folder, with what tokenizer_config.json adds; throws when it is missing, too large or no tokenizer. */
  static async load(folder: string): Promise<TextTokenizer> {
    const path = join(folder, "tokenizer.json");
    const json = await readJson(path, MAX_FILE_BYTES);
    const config = await readJsonIfPresent(join(folder, TOKENIZER_CONFIG), MAX_TOKENIZER_CONFIG_BYTES);
    return new TextTokenizer(
      json,
      path,
      (config as { added_tokens_decoder?: unknown } | undefined)?.added_tokens_decoder,
    );
  }

  /** Names of the special tokens. */
  get specialNames(): readonly string[] {
    return [...this.#special.keys()];
  }

  /** Ids of plain text; the names of special tokens in it are text like any other. */
  encode(text: string): number[] {
    // The names are broken up where they stand in the text, so that the tokenizer cannot take them for tokens.
    const pieces = text.split(this.#atSpecial).reduce<string[]>(
      (cut, piece, i) => {
        const half = i % 2 === 0 ? 0 : Math.floor(piece.length / 2);
        cut.push(cut.pop()! + piece.slice(0, half));
        if (half > 0) cut.push("");
        cut.push(cut.pop()! + piece.slice(half));
        return cut;
      },
      [""],
    );
    return pieces.flatMap((piece) =>
      piece === "" ? [] : this.#tokenizer.encode(piece, { add_special_tokens: false }).ids,
    );
  }

  /** Text of ids; special tokens are left out. */
  decode(ids: readonly number[]): string {
    const plain = ids.filter((id) => !this.#specialIds.has(id));
    return plain.length === 0
      ? ""
      : this.#tokenizer.decode(plain, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }

  /** The id of a token that stands beside the vocabulary; throws when there is none of that name. */
  special(name: string): number {
    const token = this.#added.get(name);
    if (!token) throw new ModelError(`${this.file}: has no token ${quote(name)} among its added tokens`);
    return token.id;
  }

  /** The name of an added token; undefined when the id is not that of one. */
  addedName(id: number): string | undefined {
    for (const token of this.#added.values()) if (token.id === id) return token.content;
    return undefined;
  }

  /** Whether an id is a special token. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /**
   * Ids of template text, in which the names of special tokens mean the tokens. `plain` turns what stands between them into the
   * text that is encoded.
   */
  encodeTemplate(text: string, plain: (piece: string) => string = (piece) => piece): number[] {
    const parts = text.split(this.#atSpecial);
    // Odd parts are names.
    return parts.flatMap((part, i) => {
      if (i % 2 === 1) return [this.#special.get(part)!.id];
      const before = this.#special.get(parts[i - 1] ?? "");
      const after = this.#special.get(parts[i + 1] ?? "");
      const start = before?.rstrip ? part.trimStart() : part;
      return this.encode(plain(after?.lstrip ? start.trimEnd() : start));
    });
  }

  /** Decodes ids as they come: each push returns the text that has become certain. */
  stream(): { push(id: number): string; end(): string } {
    let pending: number[] = [];
    const flush = () => {
      const text = this.decode(pending);
      pending = [];
      return text;
    };
    return {
      push: (id) => {
        pending.push(id);
        // A character may be spread over several tokens: at most four bytes, so a longer run is no character.
        return this.decode(pending).endsWith("\ufffd") && pending.length < 4 ? "" : flush();
      },
      end: flush,
    };
  }
}
