// The packages with emoji images and names, at fixed versions, and a reader of icon sets.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { homeFolder } from "../../hub/home-folder.ts";
import { type CachedPackage, packageFolder } from "./packages.ts";

export const NAMES_PACKAGE = { package: "emojibase-data", version: "17.0.0", folder: "emojibase-data" } as const;

export interface IconSet {
  readonly style: string;
  readonly version: string;
  /** Another set with the same icon names that lists their code points, if this one does not. */
  readonly charactersFrom?: string;
}

export const iconSets: readonly IconSet[] = [
  { style: "twemoji", version: "1.2.5" },
  { style: "noto", version: "1.2.9" },
  { style: "openmoji", version: "1.2.29" },
  { style: "fluent-emoji", version: "1.2.7", charactersFrom: "fluent-emoji-flat" },
  { style: "fluent-emoji-flat", version: "1.2.6" },
  { style: "emojione", version: "1.2.3" },
  { style: "fxemoji", version: "1.2.2" },
  { style: "noto-v1", version: "1.2.5" },
  { style: "emojione-v1", version: "1.2.3" },
  { style: "streamline-emojis", version: "1.2.4" },
];

/** KELIX_CACHE, or ~/.cache/kelix/data. */
export function defaultCacheFolder(): string {
  return process.env.KELIX_CACHE || join(homeFolder("the training data", "KELIX_CACHE"), ".cache", "kelix", "data");
}

/** The sources of the emoji images. */
export const emojiPackages: readonly CachedPackage[] = [NAMES_PACKAGE, ...iconSets.map(iconPackage)];

export function iconPackage({ style, version }: Pick<IconSet, "style" | "version">): CachedPackage {
  return { package: `@iconify-json/${style}`, version, folder: style };
}

export interface License {
  readonly title: string;
  readonly author: string;
  readonly url: string;
}

/** A set's icons by name, and icon names by code point if the set has them. */
export interface LoadedSet extends IconSet {
  readonly license: License;
  /** An icon's SVG text at `side` pixels, or undefined if there is no such name. */
  svg(name: string, side: number): string | undefined;
  has(name: string): boolean;
  /** Names of the set's visible icons, without aliases. */
  readonly names: readonly string[];
  readonly characters: ReadonlyMap<string, string>;
}

interface Icon {
  readonly hidden?: boolean;
  readonly body: string;
  readonly left?: number;
  readonly top?: number;
  readonly width?: number;
  readonly height?: number;
}

interface IconFile {
  readonly icons: Readonly<Record<string, Icon>>;
  readonly aliases?: Readonly<Record<string, { readonly parent: string }>>;
  readonly width?: number;
  readonly height?: number;
}

interface InfoFile {
  readonly author: { readonly name: string; readonly url: string };
  readonly license: { readonly title: string; readonly url: string };
}

export async function loadSet(cache: string, set: IconSet): Promise<LoadedSet> {
  const folder = packageFolder(cache, iconPackage(set));
  const file = (await readJson(join(folder, "icons.json"))) as IconFile;
  const info = (await readJson(join(folder, "info.json"))) as InfoFile;
  const charactersSet = iconSets.find(({ style }) => style === set.charactersFrom) ?? set;
  const charactersFile = join(packageFolder(cache, iconPackage(charactersSet)), "chars.json");
  const characters = ((await readJson(charactersFile).catch(() => undefined)) ?? {}) as Record<string, string>;
  const find = (name: string): Icon | undefined =>
    Object.hasOwn(file.icons, name)
      ? file.icons[name]
      : file.aliases && Object.hasOwn(file.aliases, name)
        ? file.icons[file.aliases[name]!.parent]
        : undefined;
  return {
    ...set,
    license: { title: info.license.title, author: info.author.name, url: info.author.url },
    characters: new Map(Object.entries(characters)),
    names: Object.keys(file.icons).filter((name) => !file.icons[name]!.hidden),
    has: (name) => find(name) !== undefined,
    svg(name, side) {
      const icon = find(name);
      if (!icon) return undefined;
      const width = icon.width ?? file.width ?? 16;
      const height = icon.height ?? file.height ?? 16;
      const box = `${icon.left ?? 0} ${icon.top ?? 0} ${width} ${height}`;
      return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${side}" height="${side}" viewBox="${box}">${icon.body}</svg>`;
    },
  };
}

export async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}
