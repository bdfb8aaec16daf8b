// Images that a user gives: files, what is dropped, what is pasted.

import type { PageImage } from "../backend/backend.ts";

const types = /^image\/(png|jpeg|webp)$/;
export const accepted = "image/png,image/jpeg,image/webp";

/** The images among files. Throws a sentence where there is a file of another kind. */
export function imagesAmong(files: Iterable<File>): PageImage[] {
  return [...files].map((file) => {
    if (types.test(file.type)) return { blob: file };
    throw new Error(`${file.name || "The file"} is no PNG, JPEG or WebP: save it as one of them first.`);
  });
}

/** Files of what was dropped or pasted; undefined where it holds none, as with text. */
export function filesOf(data: DataTransfer | null): File[] | undefined {
  const files = [...(data?.files ?? [])];
  return files.length > 0 ? files : undefined;
}
