// Text to ids and back, by a Hugging Face tokenizer.json. Text from users never turns into special tokens: those are
// placed by name alone.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";

/** A vocabulary file beyond this is a mistake or an attack: Qwen3's, with 151,643 entries, takes 11 MB. */
const MAX_FILE_BYTES = 64_000_000;

export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #special: ReadonlyMap<string, number>;
  readonly #names: ReadonlyMap<number, string>;

  /** From the parsed tokenizer.json. */
  constructor(json: object) {
    this.#tokenizer = new Tokenizer(json, {});
    const added = (json as { added_tokens?: readonly { id: number; content: string }[] }).added_tokens ?? [];
    this.#special = new Map(added.map(({ id, content }) => [content, id]));
    this.#names = new Map(added.map(({ id, content }) => [id, content]));
  }

  /** Reads tokenizer.json of a model's folder; throws when it is missing, too large or no tokenizer. */
  static async load(folder: string): Promise<TextTokenizer> {
    const path = join(folder, "tokenizer.json");
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      throw new Error(`${path}: cannot be read (${error.code})`);
    });
    if (bytes.length > MAX_FILE_BYTES)
      throw new Error(`${path} has ${bytes.length} bytes; at most ${MAX_FILE_BYTES} are read`);
    try {
      return new TextTokenizer(JSON.parse(bytes.toString("utf8")) as object);
    } catch (error) {
      throw new Error(`${path}: is not a tokenizer: ${(error as Error).message}`);
    }
  }

  /** Ids of plain text; the names of special tokens in it are text like any other. */
  encode(text: string): number[] {
    if (text === "") return [];
    // The names are broken up where they stand in the text, so that the tokenizer cannot take them for tokens.
    const pieces = this.#splitAtSpecial(text);
    return pieces.flatMap((piece) =>
      piece === "" ? [] : this.#tokenizer.encode(piece, { add_special_tokens: false }).ids,
    );
  }

  /** Text of ids; special tokens are left out. */
  decode(ids: readonly number[]): string {
    const plain = ids.filter((id) => !this.#names.has(id));
    return plain.length === 0
      ? ""
      : this.#tokenizer.decode(plain, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }

  /** The id of a special token; throws when the vocabulary has none of that name. */
  special(name: string): number {
    const id = this.#special.get(name);
    if (id === undefined)
      throw new Error(`the tokenizer has no special token ${name}; it has ${[...this.#special.keys()].join(" ")}`);
    return id;
  }

  /** Whether an id is a special token. */
  isSpecial(id: number): boolean {
    return this.#names.has(id);
  }

  /** Ids of template text, in which the names of special tokens mean the tokens. */
  encodeTemplate(text: string): number[] {
    const names = [...this.#special.keys()].map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    if (names.length === 0) return this.encode(text);
    const parts = text.split(new RegExp(`(${names.join("|")})`));
    return parts.flatMap((part) => {
      const id = this.#special.get(part);
      return id === undefined ? this.encode(part) : [id];
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

  #splitAtSpecial(text: string): string[] {
    let pieces = [text];
    for (const name of this.#special.keys()) {
      if (!text.includes(name)) continue;
      const half = Math.floor(name.length / 2);
      pieces = pieces.flatMap((piece) => {
        const cut: string[] = [];
        let rest = piece;
        for (let at = rest.indexOf(name); at >= 0; at = rest.indexOf(name)) {
          cut.push(rest.slice(0, at + half));
          rest = rest.slice(at + half);
        }
        return [...cut, rest];
      });
    }
    return pieces;
  }
}
