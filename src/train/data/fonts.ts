// Fonts for lettering: each glyph's coverage at 64 pixels per em, drawn once into the cache and scaled down from there.
// Outlines are read by opentype.js, which is downloaded with the fonts and not needed after drawing.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { InputError } from "../../errors.ts";
import { makeFolder } from "../../hub/make-folder.ts";
import { loadSharp } from "../../image/sharp.node.ts";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import { f32, hostTensor } from "../../runtime/host-tensor.ts";
import { type CachedPackage, packageFolder } from "./packages.ts";

/** The supported characters. */
export const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!?&+";

/** Pixels of an em, of a glyph's square cell, and the glyph's origin in it. */
export const EM = 64;
export const CELL = 96;
export const ORIGIN = { x: 16, y: 66 } as const;

/** Held out from training: tests reading in unseen typefaces. */
export const heldOutFonts: readonly string[] = ["lato", "bitter", "comic-neue"];

const names = [
  ...["arvo", "caveat", "courier-prime", "dm-sans", "fira-sans", "inter", "libre-baskerville", "merriweather"],
  ...["montserrat", "noto-serif", "nunito", "open-sans", "oswald", "patrick-hand", "playfair-display", "poppins"],
  ...["quicksand", "roboto", "roboto-slab", "rubik", "space-mono", "zilla-slab"],
  ...heldOutFonts,
];
const weights = [400, 700] as const;

const fonts = names.map(
  (name): CachedPackage => ({ package: `@fontsource/${name}`, version: "5.3.0", folder: `font-${name}` }),
);
const reader: CachedPackage = { package: "opentype.js", version: "2.0.0", folder: "opentype.js" };
export const fontPackages: readonly CachedPackage[] = [reader, ...fonts];

export interface Font {
  readonly name: string;
  /** [CELL, CELL] of one of CHARACTERS, 0 to 255. */
  glyph(character: string): Uint8Array;
  /** Pixels to the next origin at EM pixels per em. */
  advance(character: string): number;
}

interface OutlineFont {
  charToGlyph(character: string): {
    readonly index: number;
    readonly advanceWidth: number;
    getPath(x: number, y: number, size: number): { toPathData(decimals: number): string };
  };
  readonly unitsPerEm: number;
}

const atlasFile = (cache: string, name: string, weight: number) =>
  join(cache, "fonts", `${name}-${weight}.safetensors`);

/** Draws the missing atlases; needs the packages in the cache. */
export async function renderFonts(cache: string, log: (line: string) => void): Promise<void> {
  await makeFolder(join(cache, "fonts"));
  for (const [i, name] of names.entries()) {
    for (const weight of weights) {
      const target = atlasFile(cache, name, weight);
      const earlier = await openSafetensorsAt(target).catch(() => undefined);
      await earlier?.close();
      if (earlier) continue;
      const path = join(packageFolder(cache, fonts[i]!), "files", `${name}-latin-${weight}-normal.woff`);
      const bytes = await readFile(path).catch(() => undefined);
      if (!bytes) continue; // a typeface with a single weight
      log(`drawing the letters of ${name} ${weight}`);
      await drawAtlas(target, await parseFont(cache, bytes));
    }
  }
}

async function parseFont(cache: string, bytes: Buffer): Promise<OutlineFont> {
  const url = pathToFileURL(join(packageFolder(cache, reader), "dist", "opentype.mjs"));
  const { parse } = (await import(url.href)) as { parse(data: ArrayBuffer): OutlineFont };
  return parse(new Uint8Array(bytes).buffer);
}

async function drawAtlas(target: string, font: OutlineFont): Promise<void> {
  const sharp = await loadSharp();
  const glyphs = new Uint8Array(CHARACTERS.length * CELL * CELL);
  const advances = new Float32Array(CHARACTERS.length);
  for (const [i, character] of [...CHARACTERS].entries()) {
    const glyph = font.charToGlyph(character);
    advances[i] = (glyph.advanceWidth / font.unitsPerEm) * EM;
    const outline = glyph.getPath(ORIGIN.x, ORIGIN.y, EM).toPathData(2);
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${CELL}" height="${CELL}"><path d="${outline}"/></svg>`;
    glyphs.set(await sharp(Buffer.from(svg)).ensureAlpha().extractChannel("alpha").raw().toBuffer(), i * CELL * CELL);
  }
  const n = CHARACTERS.length;
  await writeSafetensors(target, [
    ["glyphs", hostTensor("u8", glyphs, [n, CELL, CELL])],
    ["advances", f32(advances, [n])],
  ]);
}

/** All fonts in the cache, in a fixed order. */
export async function openFonts(cache: string): Promise<Font[]> {
  const opened: Font[] = [];
  for (const name of names) {
    for (const weight of weights) {
      const file = await openSafetensorsAt(atlasFile(cache, name, weight)).catch(() => undefined);
      if (!file) continue;
      const glyphs = (await file.read("glyphs")).data as Uint8Array;
      const advances = (await file.read("advances")).data as Float32Array;
      await file.close();
      const size = CELL * CELL;
      opened.push({
        name,
        glyph: (c) => glyphs.subarray(CHARACTERS.indexOf(c) * size, (CHARACTERS.indexOf(c) + 1) * size),
        advance: (c) => advances[CHARACTERS.indexOf(c)]!,
      });
    }
  }
  if (opened.length === 0) throw new InputError(`${cache}: contains no fonts. Run \`kelix data\` first`);
  return opened;
}
