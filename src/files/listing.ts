// files.json of a model's folder: what it holds, with sizes and hashes, for those who cannot list a folder, as over HTTP.
// The build and `kelix convert` write it; `kelix info FOLDER --files` prints it for other folders.

import * as z from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";
import { isPlainPath } from "./hub-name.ts";

export const LISTING_FILE = "files.json";
/** A model has tens of files. */
export const MAX_LISTING_BYTES = 4_000_000;
const MAX_FILES = 10_000;

const fileSchema = z.strictObject({
  /** In the folder, with "/" between its parts. */
  path: z.string().refine(isPlainPath, "leads out of the folder"),
  bytes: z.int().min(0),
  /** 64 hex digits; absent where the server does not know it. */
  sha256: z.optional(z.string().regex(/^[0-9a-f]{64}$/)),
});
const listingSchema = z.strictObject({ files: z.array(fileSchema).max(MAX_FILES) });

export type ListedFile = z.infer<typeof fileSchema>;
export type Listing = z.infer<typeof listingSchema>;

/** Throws a ModelError, which calls it `name`, if it is not a listing. */
export function parseListing(json: unknown, name: string): Listing {
  return parseConfig(listingSchema, json, name);
}
