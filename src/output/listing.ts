// Makes the files.json of a folder.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { LISTING_FILE, type ListedFile, type Listing } from "../files/listing.ts";
import { isSideFile } from "../files/model-files.ts";
import { fileFilter } from "../files/wanted-files.ts";

/** Every file of a folder that a model needs, in order of their paths. */
export async function listModelFiles(folder: string): Promise<Listing> {
  const isWanted = fileFilter();
  const paths = (await readdir(folder, { recursive: true })).map((path) => path.split(sep).join("/"));
  const files: ListedFile[] = [];
  for (const path of paths.sort()) {
    const parts = path.split("/");
    if (!isWanted(path) || path === LISTING_FILE || parts.some((part) => isSideFile(part) || part.startsWith(".")))
      continue;
    const info = await stat(join(folder, path));
    if (!info.isFile()) continue;
    const hash = createHash("sha256");
    await pipeline(createReadStream(join(folder, path)), hash);
    files.push({ path, bytes: info.size, sha256: hash.digest("hex") });
  }
  return { files };
}
