#!/usr/bin/env node
// kelix COMMAND: the command line. Results on stdout, everything else on stderr.
// Exit status: 0 done, 1 failed, 2 used wrongly, 130 interrupted.

import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { InputError } from "../index.ts";
import { withoutSecrets } from "../safe-url.ts";
import { addChat } from "./chat.ts";
import { addCheck } from "./check.ts";
import { collect, complain, deviceName, integer, interrupted } from "./context.ts";
import { addConvert } from "./convert.ts";
import { addDemo } from "./demo.ts";
import { addDescribe } from "./describe.ts";
import { addEval } from "./eval.ts";
import { addImagine } from "./imagine.ts";
import { addInfo } from "./info.ts";
import { addPlan } from "./plan.ts";
import { addPull } from "./pull.ts";
import { addReconstruct } from "./reconstruct.ts";
import { addTokenize } from "./tokenize.ts";
import { addTrain } from "./train.ts";

const FAILED = 1;
const USED_WRONGLY = 2;
const INTERRUPTED = 130;

/** All commands. */
export function createProgram(): Command {
  const program = new Command("kelix")
    .description("Pictures as discrete codes that a language model reads and writes.")
    .option(
      "--model <name>",
      "a folder, a repository of the Hub, or a built-in name",
      process.env.KELIX_MODEL || "kelix-nano",
    )
    .option("--dit <name>", "folder of a diffusion transformer that lies elsewhere; may be given twice", collect)
    .option("--vae <name>", "folder of the autoencoder, if it lies elsewhere")
    .option("--ignore-memory", "load even what does not fit into memory")
    .option("--device <name>", "cpu, webgpu, cuda or wasm", deviceName)
    .option("--threads <n>", "threads of one operation", integer(1, 256))
    .option("--json", "print one JSON value on stdout")
    .option("--verbose", "print the stack of an error")
    .version(packageVersion())
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      "after",
      '\nExamples:\n  kelix describe cat.png\n  kelix imagine "two red circles" -o circles.png\n  kelix demo',
    );
  for (const add of [
    addDemo,
    addDescribe,
    addChat,
    addImagine,
    addTokenize,
    addReconstruct,
    addTrain,
    addEval,
    addConvert,
    addPull,
    addInfo,
    addPlan,
    addCheck,
  ])
    add(program);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      outputError: (text) => complain(`${text.replace(/^error: /, "").trim()} (try kelix --help)`),
    });
  }
  return program;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

async function run(args: readonly string[]): Promise<number> {
  const program = createProgram();
  process.once("SIGINT", () => interrupted.abort());
  process.once("SIGTERM", () => interrupted.abort());
  process.once("SIGHUP", () => interrupted.abort());
  // Whoever reads the results may have had enough of them, as `head` does.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  try {
    await program.parseAsync(args);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USED_WRONGLY;
    if (interrupted.signal.aborted) {
      complain("interrupted");
      return INTERRUPTED;
    }
    const { message, stack } = error as Error;
    if (program.opts().verbose) console.error(withoutSecrets(stack ?? message));
    else complain(message);
    return error instanceof InputError && error.code === "invalid_option" ? USED_WRONGLY : FAILED;
  }
}

process.exitCode = await run(process.argv);
