// kelix attack URL: tries known failures of such servers on one of OpenAI's API, and prints what held.

import type { Command } from "commander";
import { type AttackResult, attackServer, attacks } from "../attack/attack.ts";
import { InputError, KelixError } from "../index.ts";
import { complainOf } from "./failures.ts";
import { interrupted, printable, printJson, showProgress } from "./terminal.ts";

interface Options {
  readonly apiKey?: string;
  readonly otherKey?: string;
  readonly only?: readonly string[];
  readonly json?: boolean;
}

const marks = { held: "held", failed: "FAILED", skipped: "skipped" };

export function define(command: Command): void {
  const list = attacks.map(({ name, about }) => `  ${name.padEnd(16)}${about}`).join("\n");
  command
    .argument("<url>", "of a server of OpenAI's API, such as http://127.0.0.1:8080")
    .option("--api-key <key>", "a key that may ask (or KELIX_API_KEY)")
    .option("--other-key <key>", "a key of another user, to try whether caches are shared")
    .option("--only <name...>", "these attacks alone")
    .addHelpText(
      "after",
      `\nThe attacks:\n${list}\n\nThey do no lasting harm to a server that holds; one that does not may fall. Attack your own servers only.\n` +
        "Ends with status 0 if all held, else with 1. It takes one to two minutes.\n\n" +
        "Example:\n  kelix attack http://127.0.0.1:8080 --api-key secret",
    )
    .action(async (url: string, _: object, command: Command) => {
      const { apiKey = process.env.KELIX_API_KEY, otherKey, only, json } = command.optsWithGlobals<Options>();
      const unknown = only?.find((name) => !attacks.some((attack) => attack.name === name));
      if (unknown !== undefined)
        throw new InputError(`There is no attack ${JSON.stringify(unknown)} (try kelix attack --help)`, {
          code: "invalid_option",
        });
      const width = Math.max(...attacks.map(({ name }) => name.length));
      const print = ({ name, verdict, sentence }: AttackResult) =>
        process.stdout.write(`${name.padEnd(width)}  ${marks[verdict].padEnd(7)}  ${printable(sentence)}\n`);
      showProgress("attacking");
      const results = await attackServer({
        url,
        apiKey,
        otherKey,
        only,
        signal: interrupted.signal,
        onResult: (result) => {
          showProgress("");
          if (!json) print(result);
        },
      });
      if (json) printJson(results);
      const failures = results.filter(({ verdict }) => verdict === "failed").length;
      if (failures > 0) complainOf(new KelixError(`${failures} of ${results.length} attacks succeeded`));
    });
}
