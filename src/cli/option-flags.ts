// Command-line flags for the library's options. A flag's name, help, default and check come from the option's schema.

import { type Command, Option } from "commander";
import type * as z from "zod";
import { InputError } from "../index.ts";
import { excerpt } from "./quote.ts";

/** Declares a flag for each of these options of a schema, with the placeholder of its value in the help; none for a switch. */
export function addFlags<S extends z.ZodObject>(
  command: Command,
  options: S,
  values: Readonly<Partial<Record<keyof S["shape"] & string, string>>>,
): Command {
  for (const [name, value] of Object.entries<string | undefined>(values)) {
    command.addOption(flag(name, value ?? "", options.shape[name] as z.ZodType));
  }
  return command;
}

function flag(name: string, value: string, option: z.ZodType): Option {
  const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const absent = option.safeParse(undefined);
  const about = option.description ?? "";
  if (value === "") return new Option(`--${kebab}`, about);
  const wanted = expectation(option);
  const help = /^a (text|list)/.test(wanted) ? about : `${about} (${wanted})`;
  const declared = new Option(`--${kebab} ${value}`, help).makeOptionMandatory(!absent.success);
  if (absent.data !== undefined) declared.default(absent.data);
  // Each value of a list is checked by itself; commander collects them.
  return value.endsWith("...>") ? declared : declared.argParser((text) => parse(`--${kebab}`, option, text));
}

/** What an option has to be, in the words of its messages: "an integer from 1 to 1000". */
export function expectation(option: z.ZodType): string {
  // No option is a symbol, and the first complaint is about the kind.
  return option.safeParse(Symbol()).error!.issues[0]!.message;
}

/** The value of a text: a number if it spells one, else the text. */
function parse(flag: string, option: z.ZodType, text: string): unknown {
  const values = text.trim() === "" ? [text] : [text, Number(text)];
  const found = values.map((value) => option.safeParse(value)).find(({ success }) => success);
  if (found) return found.data;
  const got = text.trim() === "" ? "an empty text" : excerpt(text);
  throw new InputError(`${flag}: Expected ${expectation(option)}, got ${got}`, { code: "invalid_option" });
}
