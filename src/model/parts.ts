// Finds what an image is drawn with beside an autoregressive checkpoint: diffusion transformers and the autoencoder. They lie
// in sub-folders, whatever their names, or in folders of their own, and are recognised by the class that their config.json names.

import { readJsonIfPresent } from "../checkpoint/json-file.ts";
import type { DitConfig } from "../detokenizer/config.ts";
import { ModelError } from "../errors.ts";
import { baseName, isSideFile, type ModelFiles } from "../files/model-files.ts";

export type PartKind = "autoregressive" | "tokenizer" | "transformer" | "autoencoder";

/** A folder with a config.json of a known kind. */
export interface FoundPart {
  readonly kind: PartKind;
  readonly files: ModelFiles;
  /** The parsed config.json. */
  readonly json: unknown;
}

/** `__class__` of the reference's configs, `_class_name` of diffusers'. */
const kinds: ReadonlyMap<unknown, PartKind> = new Map([
  ["KeyeARConfig", "autoregressive"],
  ["KeyeTokenizerConfig", "tokenizer"],
  ["SanaConfig", "transformer"],
  ["AutoencoderDC", "autoencoder"],
]);

/** Sub-folders that are looked into: more than any checkpoint has. */
const MAX_FOLDERS = 100;

/** The parts in a folder's own config.json and in those of its sub-folders, in order of their names. */
export async function findParts(files: ModelFiles): Promise<FoundPart[]> {
  const inner = (await files.list()).filter(({ name, isFolder }) => isFolder && !isSideFile(name));
  const names = inner.map(({ name }) => name).sort();
  const folders = [files, ...names.slice(0, MAX_FOLDERS).map((name) => files.folder(name))];
  const parts: FoundPart[] = [];
  for (const own of folders) {
    const json = await readJsonIfPresent(own, "config.json");
    const kind = kindOf(json);
    if (kind) parts.push({ kind, files: own, json });
  }
  return parts;
}

/** What a config.json describes, by the class that it names; undefined for one that is none of these. */
export function kindOf(json: unknown): PartKind | undefined {
  return kinds.get(classOf(json));
}

/** The class that a config.json names. */
export function classOf(json: unknown): unknown {
  if (typeof json !== "object" || json === null) return undefined;
  const { __class__, _class_name } = json as Record<string, unknown>;
  return __class__ ?? _class_name;
}

/** What an image may be drawn from: the language model's hidden states while it wrote codes, or codes alone. */
export type Source = "hidden" | "codes";

/** Something drawn with: at least where it lies and what it reads. */
interface Reader {
  readonly folder: string;
  readonly config: DitConfig;
}

/** The widths of what a model can draw from; it has no hidden states without a language model. */
export interface Widths {
  readonly hidden?: number;
  readonly codes: number;
}

/**
 * Which transformer draws from what. One with a connector reads hidden states, one without reads embeddings of codes. Where
 * both go through one width, as in models of `kelix train` (`isShared`), a single transformer reads both, the codes past its
 * connector. Throws when a transformer reads neither, or two the same.
 */
export function assignTransformers<T extends Reader>(
  transformers: readonly T[],
  widths: Widths,
  isShared: boolean,
): Partial<Record<Source, T>> {
  const assigned: Partial<Record<Source, T>> = {};
  for (const transformer of transformers) {
    const sources = sourcesOf(transformer.config, widths, isShared);
    if (sources.length === 0) {
      const { useConnector, connectorChannels, captionChannels } = transformer.config;
      throw new ModelError(
        `${transformer.folder}: reads conditions of width ${useConnector ? connectorChannels : captionChannels}, ` +
          `this model's ${widths.hidden ? `hidden states have ${widths.hidden} and its ` : ""}embedded codes have ${widths.codes}`,
      );
    }
    for (const source of sources) {
      const other = assigned[source];
      if (other) {
        throw new ModelError(
          `${baseName(other.folder)} and ${baseName(transformer.folder)} both draw from ${sourceNames[source]}: ` +
            "name the one to use with `detokenizer` (--dit FOLDER)",
        );
      }
      assigned[source] = transformer;
    }
  }
  return assigned;
}

function sourcesOf(config: DitConfig, widths: Widths, isShared: boolean): Source[] {
  const { useConnector, connectorChannels, captionChannels: C } = config;
  if (!useConnector) return C === widths.codes ? ["codes"] : C === widths.hidden ? ["hidden"] : [];
  const isConnected = connectorChannels === widths.hidden;
  return [...(isConnected ? ["hidden" as const] : []), ...(isShared && C === widths.codes ? ["codes" as const] : [])];
}

/** In words, for messages. */
export const sourceNames: Readonly<Record<Source, string>> = {
  hidden: "the language model's hidden states",
  codes: "codes alone",
};
