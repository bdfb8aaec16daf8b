// What `kelix COMMAND` does. A command's module is imported when it is called.
// Exit status: 0 done, 1 failed (also when one of many images failed), 2 usage error, 130 interrupted.

import { Command, CommanderError, Help, type Option } from "commander";
import type { Device } from "../index.ts";
import { version } from "../version.ts";
import { preload } from "./few-descriptors.ts";
import { excerpt } from "./quote.ts";
import { beginCommand, hasFailed, interrupted, printFault, setVoice } from "./terminal.ts";

export const FAILED = 1;
const USED_WRONGLY = 2;
const INTERRUPTED = 130;

interface CommandModule {
  /** Declares the command's arguments and options, and what it does. */
  define(command: Command): void;
}

/** Every command, with its summary and its module. */
const commands: Readonly<Record<string, readonly [about: string, load: () => Promise<CommandModule>]>> = {
  demo: ["tokenize, reconstruct, describe and imagine; writes kelix-demo/index.html", () => import("./demo.ts")],
  describe: ["say what images show, or answer a question about them", () => import("./describe.ts")],
  chat: ["chat about images; the model may draw in its answers", () => import("./chat.ts")],
  imagine: ["draw an image from a prompt", () => import("./imagine.ts")],
  edit: ["edit an image with a prompt, everywhere or where a mask is white", () => import("./edit.ts")],
  replay: ["redraw an image from the receipt in its file, and compare", () => import("./replay.ts")],
  tokenize: ["turn images into codes", () => import("./tokenize.ts")],
  reconstruct: ["decode an image from its codes alone", () => import("./reconstruct.ts")],
  embed: ["print a vector for each image, for comparing images", () => import("./embed.ts")],
  data: ["download and draw the images that kelix-nano is trained on", () => import("./data.ts")],
  train: ["train one stage: tokenizer, language-model, autoencoder or diffusion", () => import("./train.ts")],
  finetune: ["train a low-rank adapter on a frozen model", () => import("./finetune.ts")],
  export: [
    "assemble a finished run into a model folder, or write a model in the reference's layout",
    () => import("./export.ts"),
  ],
  "export-data": ["write training data as Parquet, as the reference reads it", () => import("./export-data.ts")],
  merge: ["store a model with its adapter merged in, as a new folder", () => import("./merge.ts")],
  "best-of": [
    "draw training prompts several times and keep what a judge recognises, as data to train on",
    () => import("./best-of.ts"),
  ],
  eval: ["measure a model on held-out images", () => import("./eval.ts")],
  convert: ["store a model at lower precision, as a new folder", () => import("./convert.ts")],
  jobs: ["do a corpus shard by shard: submit to a queue, watch it, or run here", () => import("./jobs.ts")],
  worker: ["take shards from a queue and do them", () => import("./worker.ts")],
  pull: ["download a model from the Hugging Face Hub, or resume an interrupted download", () => import("./pull.ts")],
  info: ["show a model's parts, sizes, precision and memory needs", () => import("./info.ts")],
  plan: [
    "estimate what a model needs on this machine: disk, memory, and the time for an answer and for an image",
    () => import("./plan.ts"),
  ],
  serve: ["serve OpenAI's API over HTTP: chat, images, embeddings, codes", () => import("./serve.ts")],
  attack: ["run known attacks against a server with OpenAI's API", () => import("./attack.ts")],
  check: ["test each part of a model on bundled images and print a report for an issue", () => import("./check.ts")],
};

/** All of them, which the compiler holds this to: the library's own list would have to be loaded. */
const devices = Object.keys({ cpu: 0, webgpu: 0, cuda: 0, wasm: 0 } satisfies Record<Device, number>);

/** Global options that some commands lack, because they load no model or only inspect one. */
const loading = ["model", "dit", "vae", "adapter", "ignoreMemory", "device", "threads"];
const without: Readonly<Record<string, readonly string[]>> = {
  data: loading,
  train: loading,
  export: loading,
  "export-data": loading,
  merge: loading,
  pull: loading,
  jobs: ["dit", "vae", "adapter"],
  worker: ["model", "dit", "vae", "adapter", "json"],
  attack: loading,
  finetune: ["model", "dit", "vae", "adapter", "ignoreMemory", "device"],
  convert: ["model", "adapter", "ignoreMemory", "device", "threads"],
  info: ["adapter", "ignoreMemory", "device", "threads"],
  plan: ["adapter", "ignoreMemory", "device"],
  chat: ["json"],
};

let usageFault = "";

/** Runs a command line and returns its exit status. One at a time: streams and environment are the process's. */
export async function run(args: readonly string[]): Promise<number> {
  beginCommand();
  usageFault = "";
  try {
    await createProgram().parseAsync(translate(args), { from: "user" });
    return hasFailed() ? FAILED : 0;
  } catch (error) {
    if (interrupted.signal.aborted && !(error instanceof CommanderError)) {
      printFault("interrupted");
      return INTERRUPTED;
    }
    if (error instanceof CommanderError && usageFault === "") return error.exitCode === 0 ? 0 : USED_WRONGLY;
    // Not before: most of the program's start would be spent on loading the library.
    const [{ complain, complainOf }, { InputError }] = await Promise.all([
      import("./failures.ts"),
      import("../index.ts"),
    ]);
    if (error instanceof CommanderError) {
      complain(usageFault);
      return USED_WRONGLY;
    }
    complainOf(error);
    const isUsage = error instanceof InputError && ["invalid_option", "output_refused"].includes(error.code);
    return isUsage ? USED_WRONGLY : FAILED;
  }
}

const plainHelp = Object.assign(new Help(), { showGlobalOptions: true });

function hasOption(command: Command, option: Option): boolean {
  return !without[command.name()]?.includes(option.attributeName());
}

/** Ends the program for an option that a command would ignore. */
function checkOptions(program: Command, command: Command): void {
  for (const option of program.options) {
    if (hasOption(command, option) || program.getOptionValueSource(option.attributeName()) !== "cli") continue;
    command.error(`${command.name()} has no ${option.long}`);
  }
}

function createProgram(): Command {
  const program = new Command("kelix")
    .description("Images as discrete codes that a language model reads and writes.")
    .option(
      "--model <name>",
      "a folder, a repository of the Hub, or a built-in name",
      process.env.KELIX_MODEL || "kelix-nano",
    )
    .option("--dit <name>", "folder of a diffusion transformer stored elsewhere; may be repeated", collect)
    .option("--vae <name>", "folder of an autoencoder stored elsewhere")
    .option("--adapter <folder>", "a low-rank adapter for the language model, as written by `kelix finetune`")
    .option("--ignore-memory", "load a model even if it does not fit into memory")
    .option("--device <name>", `one of ${devices.join(", ")}`)
    .option("--threads <n>", "threads for each operation", numberIfAny)
    .option("--json", "print one JSON value on stdout")
    .option("-q, --quiet", "print only errors on stderr")
    .option("--verbose", "print errors in full")
    .version(version, "-v, --version")
    .helpOption("-h, --help")
    .configureHelp({
      showGlobalOptions: true,
      visibleGlobalOptions: (command) =>
        plainHelp.visibleGlobalOptions(command).filter((option) => hasOption(command, option)),
    })
    .exitOverride()
    .addHelpText(
      "after",
      '\nExamples:\n  kelix describe cat.png\n  kelix imagine "two red circles" -o circles.png\n  kelix imagine --help\n  kelix demo',
    );
  sayUsage(program);
  for (const [name, [about]] of Object.entries(commands)) sayUsage(program.command(name).description(about));
  program.hook("preSubcommand", async (_, command) => {
    setVoice(program.opts());
    checkOptions(program, command);
    preload(command.name());
    const [, load] = commands[command.name()]!;
    (await load()).define(command);
  });
  return program;
}

/** A usage error is one line that ends with a pointer to the help. */
function sayUsage(command: Command): void {
  const help = command.parent ? `kelix ${command.name()} --help` : "kelix --help";
  command.configureOutput({
    outputError: (text) => {
      usageFault = `${text
        .replace(/^error: /, "")
        .trim()
        .replace(/\s*\n\s*/g, " ")
        .replace(/'[^']{200,}'/g, (text) => `'${excerpt(text.slice(1, -1))}'`)} (try ${help})`;
    },
  });
}

/** Its range is checked with the other load options. */
function numberIfAny(text: string): number | string {
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

/** `help COMMAND` needs the command's module too; -V is an older name of -v. */
function translate(args: readonly string[]): string[] {
  const [first, second, ...rest] = args;
  if (first === "help" && second !== undefined) return [second, "--help", ...rest];
  return first === "-V" ? ["--version"] : [...args];
}
