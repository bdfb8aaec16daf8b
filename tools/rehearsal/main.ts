// npm run rehearsal [-- --small] [--keep] [--dir FOLDER] [--json]
// Time and peak memory of every part of a model of the released sizes, with random weights. Removes what it wrote, at Ctrl-C too.

import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { type Rehearsal, type RehearsedPart, rehearse } from "./rehearse.ts";

const INTERRUPTED = 130;
const USED_WRONGLY = 2;
const USAGE = `npm run rehearsal -- [--small] [--keep] [--dir FOLDER] [--json]
A model of the released sizes with random weights: written (42 GB of disk), converted, asked, and made to draw.
  --small  the same path in small, in seconds
  --keep   leaves the models on the disk
  --dir    where they are written; the system's folder for temporary files if absent`;

/** The options; nothing when there is nothing to do but what has been said. */
function readArguments() {
  const flag = { type: "boolean", default: false } as const;
  const options = {
    small: flag,
    keep: flag,
    json: flag,
    help: flag,
    dir: { type: "string", default: tmpdir() },
  } as const;
  try {
    const { values } = parseArgs({ options });
    if (!values.help) return values;
    console.log(USAGE);
  } catch (error) {
    console.error(`rehearsal: ${(error as Error).message}\n${USAGE}`);
    process.exitCode = USED_WRONGLY;
  }
  return undefined;
}

async function main(): Promise<void> {
  const values = readArguments();
  if (!values) return;
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new Error("interrupted"));
  // However often: cleaning up takes a moment.
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    const rehearsal = await rehearse({
      isSmall: values.small,
      parent: values.dir,
      isKept: values.keep,
      signal: interrupted.signal,
      onNews: (text) => console.error(text),
    });
    if (values.keep) console.error(`The models are in ${rehearsal.folder}`);
    console.log(values.json ? JSON.stringify(rehearsal) : table(rehearsal));
  } catch (error) {
    console.error(`rehearsal: ${(error as Error).message}`);
    process.exitCode = interrupted.signal.aborted ? INTERRUPTED : 1;
  }
}

/** A table in Markdown, as docs/ has it. */
function table({ parts }: Rehearsal): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const gigabytes = (bytes: number | undefined) => (bytes === undefined ? "" : `${(bytes / 1e9).toFixed(2)} GB`);
  const lines = parts.map(({ name, seconds, peakBytes, peakOwnBytes, plannedBytes, details }: RehearsedPart) =>
    row([
      name,
      `${seconds.toPrecision(3)} s`,
      gigabytes(peakBytes),
      gigabytes(peakOwnBytes),
      gigabytes(plannedBytes),
      Object.entries(details)
        .map(([fact, value]) => `${fact} ${value.toPrecision(3)}`)
        .join(", "),
    ]),
  );
  const head = ["part", "time", "peak memory", "peak without mapped files", "planned", "details"];
  return [row(head), row(head.map(() => "---")), ...lines].join("\n");
}

await main();
