// Images as files of the disk, in the format that their names say.

import { InputError, quote } from "../errors.ts";
import { encodeImage } from "../image/codec.node.ts";
import type { ImageFormat } from "../image/image-format.ts";
import type { RawImage } from "../image/rgb.ts";
import { openOutput } from "./output.ts";

const suffixes: Readonly<Record<string, ImageFormat>> = { png: "png", jpg: "jpeg", jpeg: "jpeg", webp: "webp" };

/** The format that a file's suffix names, in any case; throws an InputError for another suffix. */
export function formatOfName(name: string): ImageFormat {
  if (typeof name !== "string")
    throw new InputError(`Expected the name of a file to write, got ${quote(name)}`, { code: "output_refused" });
  const format = suffixes[/\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? ""];
  if (format) return format;
  throw new InputError(`${quote(name)}: the suffix decides the format: expected .png, .jpg, .jpeg or .webp`, {
    code: "output_refused",
  });
}

/** Writes an image in the format that the suffix names: .png, .jpg, .jpeg or .webp. See openOutput for what a path may lead to. */
export async function writeImage(path: string, image: RawImage): Promise<void> {
  const format = formatOfName(path);
  const output = await openOutput(path);
  await output.write(await encodeImage(image, format));
}

/** As writeImage, of names that end in .png only. */
export async function writePng(path: string, image: RawImage): Promise<void> {
  if (formatOfName(path) !== "png")
    throw new InputError(`${quote(path)}: writePng writes names that end in .png; writeImage writes the others`, {
      code: "output_refused",
    });
  await writeImage(path, image);
}
