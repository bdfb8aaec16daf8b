// kelix export-data PATH OUT: training data as Parquet rows, as the reference's recipes read them.

import { type Command, InvalidArgumentError, Option } from "commander";
import { captionForms, type ExportDataOptions, exportData } from "../train/export-data.ts";
import { interrupted, printable, printJson, report } from "./terminal.ts";

type Options = Pick<ExportDataOptions, "captions" | "source"> & { readonly rows: number; readonly json?: boolean };

export function define(command: Command): void {
  command
    .argument("<data>", "a folder or file as for kelix train --data")
    .argument("<out>", "the new folder of Parquet files")
    .addOption(
      new Option("--captions <form>", "what an image with a caption becomes").choices(captionForms).default("pair"),
    )
    .option("--rows <n>", "rows of a file", rowsOf, 1000)
    .option("--source <name>", "the name of the data set (default: that of <data>)")
    .addHelpText(
      "after",
      "\nExamples:\n  kelix export-data photos photos-parquet\n  kelix export-data photos photos-chats --captions describe\n" +
        "  kelix export-data photos photos-to-draw --captions draw --source gen_photos --rows 200\n" +
        "`pair` is read by the reference's sets for the diffusion transformer, `describe` and `draw` by those for the language model. Images are\n" +
        "stored as PNG, so that their pixels stay the same. What is written can be trained on here too: docs/scale.md.",
    )
    .action(async (data: string, out: string, { rows, captions, source }: Options, command: Command) => {
      const count = await exportData(data, out, {
        rowsPerFile: rows,
        ...(captions && { captions }),
        ...(source !== undefined && { source }),
        signal: interrupted.signal,
        log: (line) => report(printable(line)),
      });
      if (command.optsWithGlobals<Options>().json) printJson({ rows: count, folder: out });
    });
}

function rowsOf(text: string): number {
  const rows = Number(text);
  if (!Number.isInteger(rows) || rows < 1 || rows > 100_000)
    throw new InvalidArgumentError("Expected an integer from 1 to 100000.");
  return rows;
}
