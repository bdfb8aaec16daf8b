// kelix eval SUITE...: measures a model on held-out data.

import type { Command } from "commander";
import { checkSuites, evaluateSuites, measuresOf } from "../eval/evaluate.ts";
import { evaluateNano } from "../eval/nano.ts";
import { evalOptions, type SuiteOptions, suiteOptions } from "../eval/options.ts";
import { evalReport } from "../eval/report.ts";
import { showResults } from "../eval/show.ts";
import { suites } from "../eval/suites/all.ts";
import { InputError, type Kelix, openOutput } from "../index.ts";
import { type GlobalOptions, withModel } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printable, printJson, report, showProgress } from "./terminal.ts";

interface Options extends Pick<SuiteOptions, "limit" | "seed" | "data"> {
  readonly seeds: number;
  readonly every: number;
  readonly report?: string;
}

/** All except `vqa`, which needs a file. */
const usual = Object.keys(suites).filter((name) => name !== "vqa");

export function define(command: Command): void {
  const about = Object.entries(suites).map(([name, suite]) => `  ${name.padEnd(15)} ${suite.about}`);
  addFlags(command, suiteOptions, { limit: "<n>", seed: "<n>", seeds: "<n>", data: "<file>" });
  addFlags(command, evalOptions, { every: "<n>" })
    .argument("<suites...>", "names of suites, or all; or nano by itself")
    .option("--report <file>", "write a page with the numbers and images")
    .addHelpText(
      "after",
      [
        "\nSuites:",
        ...about,
        "  all             every suite but vqa",
        "  nano            the short table of kelix-nano's first version (with --every)",
        "\nExamples:",
        "  kelix eval reconstruction naming --limit 50",
        "  kelix eval all --report report.html --json --model nano-int4",
        "  kelix eval vqa --data questions.jsonl",
      ].join("\n"),
    )
    .action(async (names: readonly string[], options: Options, command: Command) => {
      const globals = command.optsWithGlobals<GlobalOptions>();
      if (names.includes("nano")) await runNano(names, options, globals);
      else await runSuites(names.includes("all") ? allSuites(names) : names, options, globals, command);
    });
}

function allSuites(names: readonly string[]): readonly string[] {
  if (names.some((name) => name !== "all" && name !== "vqa"))
    throw new InputError("`all` already includes every suite but vqa: name only vqa beside it", {
      code: "invalid_option",
    });
  return names.includes("vqa") ? Object.keys(suites) : usual;
}

async function runSuites(
  names: readonly string[],
  { report: page, every, ...options }: Options,
  globals: GlobalOptions,
  command: Command,
): Promise<void> {
  checkSuites(names);
  if (every !== 1)
    throw new InputError("--every belongs to the suite nano; others take --limit", { code: "invalid_option" });
  const output = page === undefined ? undefined : await openOutput(page, { signal: interrupted.signal });
  const run = async (kelix: Kelix) => {
    const results = await evaluateSuites(kelix, names, {
      ...options,
      signal: interrupted.signal,
      onProgress: (part, done, total) => showProgress(`${part} ${done}/${total}`),
      onNote: (line) => report(`kelix: ${printable(line)}`),
    });
    showProgress("");
    if (output) {
      const { parameters, codebooks, codesPerBook } = kelix.info();
      const html = await evalReport(results, {
        model: globals.model ?? "kelix-nano",
        parameters: Object.values(parameters).reduce((a, b) => a + b, 0),
        codebooks,
        codesPerBook,
        seed: options.seed ?? 0,
        command: `kelix eval ${names.join(" ")}${given(command)}`,
      });
      await output.write(Buffer.from(html));
    }
    if (globals.json) printJson(measuresOf(results));
    else process.stdout.write(showResults(results));
  };
  await withModel(globals, run, output ? [output] : []).finally(() => output?.close());
}

/** The given options that change what is measured. */
function given(command: Command): string {
  const names = ["limit", "seed", "seeds", "data"].filter((name) => command.getOptionValueSource(name) === "cli");
  return names.map((name) => ` --${name} ${String(command.getOptionValue(name))}`).join("");
}

async function runNano(names: readonly string[], options: Options, globals: GlobalOptions): Promise<void> {
  const { every, seeds, report: page, limit, data } = options;
  if (names.length > 1 || page !== undefined || limit !== undefined || data !== undefined)
    throw new InputError(
      "nano is a table of its own: it takes --every, --seeds and --json, and no other suite beside it",
      {
        code: "invalid_option",
      },
    );
  await withModel(globals, async (kelix) => {
    const onProgress = (part: string, done: number, total: number) => showProgress(`${part} ${done}/${total}`);
    const results = await evaluateNano(kelix, { every, seeds, onProgress, signal: interrupted.signal });
    showProgress("");
    if (globals.json) {
      printJson(results);
      return;
    }
    const { reconstruction, caption, scenes, imagine } = results;
    const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
    process.stdout.write(
      [
        `reconstruction   PSNR ${reconstruction.psnr.toFixed(2)} dB over ${reconstruction.n} images`,
        `codes in use     ${reconstruction.bookUse.map(percent).join("  ")}`,
        `captions         ${percent(caption.accuracy)} of ${caption.n}`,
        `scene questions  ${percent(scenes.accuracy)} of ${scenes.n} (from the question alone ${percent(scenes.questionOnly)})`,
        `imagined         ${percent(imagine.accuracy)} of ${imagine.n}`,
        "",
      ].join("\n"),
    );
  });
}
