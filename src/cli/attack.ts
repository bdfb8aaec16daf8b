// kelix attack URL: runs known attacks against a server with OpenAI's API, and prints which ones it withstood.

import type { Command } from "commander";
import { type AttackResult, attackServer, attacks } from "../attack/attack.ts";
import { InputError, KelixError } from "../index.ts";
import { complainOf } from "./failures.ts";
import { quote } from "./quote.ts";
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
    .argument("<url>", "of a server with OpenAI's API, such as http://127.0.0.1:8080")
    .option("--api-key <key>", "a valid key (or KELIX_API_KEY)")
    .option("--other-key <key>", "another user's key, to test whether caches are shared")
    .option("--only <name...>", "run only these attacks")
    .addHelpText(
      "after",
      `\nAttacks:\n${list}\n\n` +
        "Attack only your own servers. All attacks together take one to five minutes, most of it waiting for the server to give\n" +
        "up on unfinished requests. They send some 300 requests, most of which are refused, and hold up to 50 connections open;\n" +
        "other clients may be told to try again (429). A server that withstands them is left as it was. One that does not may\n" +
        "run out of memory or hang until it is restarted.\n" +
        "An attack that succeeds is repeated to rule out chance. Exit status: 0 if no attack succeeded, else 1.\n\n" +
        "Examples:\n  kelix attack http://127.0.0.1:8080 --only ssrf image-bombs --json\n" +
        "  kelix attack https://example.org --api-key KEY --other-key KEY2",
    )
    .action(async (url: string, _: object, command: Command) => {
      const { apiKey = process.env.KELIX_API_KEY, otherKey, only, json } = command.optsWithGlobals<Options>();
      const unknown = only?.find((name) => !attacks.some((attack) => attack.name === name));
      if (unknown !== undefined)
        throw new InputError(`There is no attack ${quote(unknown)}; kelix attack --help lists them`, {
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
