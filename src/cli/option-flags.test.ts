import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { evalOptions, suiteOptions } from "../eval/options.ts";
import { InputError, optionsOf } from "../index.ts";
import { convertOptions, mergeOptions } from "../quantize/options.ts";
import { finetuneOptions } from "../train/finetune-options.ts";
import { addFlags, expectation } from "./option-flags.ts";

function parse(...args: string[]): Record<string, unknown> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addFlags(command, optionsOf.imagine, { n: "<n>", topP: "<x>" });
  addFlags(command, optionsOf.reconstruct, { seed: "<n>", keepSize: "", fusion: "<how>" });
  addFlags(command, optionsOf.pullModel, { revision: "<name>", include: "<pattern...>" });
  return command.parse(args, { from: "user" }).opts();
}

describe("flags", () => {
  test("have the schema's defaults, and no value where it has none", () => {
    expect(parse()).toEqual({ n: 1, seed: 0 });
  });

  test("are read as what the option is: a number, a switch, one of some words, a text, a list", () => {
    const args = [
      "--n",
      "3",
      "--top-p",
      "0.5",
      "--keep-size",
      "--fusion",
      "mean",
      "--revision",
      "2",
      "--include",
      "1",
      "b",
    ];
    expect(parse(...args)).toEqual({
      n: 3,
      topP: 0.5,
      seed: 0,
      keepSize: true,
      fusion: "mean",
      revision: "2",
      include: ["1", "b"],
    });
  });

  test.each([
    [["--n", "0"], "--n: Expected an integer from 1 to 1000, got 0"],
    [["--n", "1.5"], "--n: Expected an integer from 1 to 1000, got 1.5"],
    [["--n", ""], "--n: Expected an integer from 1 to 1000, got an empty text"],
    [["--n", "many"], "--n: Expected an integer from 1 to 1000, got many"],
    [["--top-p", "0"], "--top-p: Expected a number above 0 and at most 1, got 0"],
    [["--seed", "-1"], "--seed: Expected an integer from 0 to 9007199254740991, got -1"],
    [["--seed", "9007199254740993"], "--seed: Expected an integer from 0 to 9007199254740991, got 9007199254740993"],
    [["--fusion", "product"], "--fusion: Expected sum or mean, got product"],
    [["--n", "9".repeat(1000)], `--n: Expected an integer from 1 to 1000, got ${"9".repeat(199)}…`],
  ])("refuse %j", (args, message) => {
    expect(() => parse(...args)).toThrow(new InputError(message, { code: "invalid_option" }));
  });

  test("say in the help what they are for and what they have to be", () => {
    const help = addFlags(new Command(), convertOptions, { weights: "<format>", block: "<n>" }).helpInformation();
    expect(help.replace(/\s+/g, " ")).toContain(
      "--weights <format> precision of the weights of linear layers (one of int4, int8, bf16)",
    );
  });

  test("are required where the option is", () => {
    const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
    addFlags(command, convertOptions, { weights: "<format>" });
    expect(() => command.parse([], { from: "user" })).toThrow("--weights");
  });
});

test("every option can say what it has to be, in words that fit its messages", () => {
  const ofCommands = [convertOptions, mergeOptions, finetuneOptions, evalOptions, suiteOptions];
  for (const { shape } of [...Object.values(optionsOf), ...ofCommands])
    for (const option of Object.values(shape))
      expect(expectation(option)).toMatch(/^(an?|one of|true|32|the|sum or|training or) /);
});
