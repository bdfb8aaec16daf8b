// What the Hub says of a repository at a revision: /api/models/OWNER/NAME/revision/REVISION?blobs=true.

import * as z from "zod";
import { parseConfig } from "../checkpoint/parse-config.ts";

/** A model has tens of files. */
const MAX_FILES = 20_000;

/** Names, sizes and hashes are checked as those of any listing (listing.ts). */
const answerSchema = z.object({
  /** The commit. */
  sha: z.string().min(1).max(200),
  siblings: z
    .array(
      z.object({
        rfilename: z.string(),
        size: z.unknown(),
        lfs: z.object({ sha256: z.unknown() }).nullish(),
      }),
    )
    .max(MAX_FILES)
    .default([]),
});

export type HubAnswer = z.infer<typeof answerSchema>;

/** Throws a ModelError, which calls it `name`, for an answer of another form. */
export function parseHubAnswer(json: unknown, name: string): HubAnswer {
  return parseConfig(answerSchema, json, name);
}
