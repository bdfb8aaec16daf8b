// kelix pull REPO: downloads a model from the Hugging Face Hub into its cache.

import { type Command, InvalidArgumentError } from "commander";
import { isHubName } from "../hub/pull.ts";
import { InputError, optionsOf, type PullResult, pullModel } from "../index.ts";
import { type GlobalOptions, showTransfer, showWait } from "./context.ts";
import { addFlags } from "./option-flags.ts";
import { interrupted, printJson } from "./terminal.ts";
import { formatBytes } from "./transfer.ts";

export function define(command: Command): void {
  addFlags(command, optionsOf.pullModel, { revision: "<name>", include: "<pattern...>" })
    .argument("<repo>", "owner/name, or owner/name@revision", repoName)
    .addHelpText(
      "after",
      '\nExamples:\n  kelix pull OpenOneRec/Kelix-SFT\n  kelix pull owner/name --revision v1.0 --include config.json "vae/*"\n' +
        "Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.",
    )
    .action(async (repo: string, options: { revision?: string; include?: string[] }, command: Command) => {
      if (options.revision !== undefined && repo.includes("@"))
        throw new InputError(`Two revisions are given: ${repo}, and --revision ${options.revision}`, {
          code: "invalid_option",
        });
      const result = await pullModel(repo, {
        ...options,
        signal: interrupted.signal,
        onProgress: showTransfer(),
        onWait: showWait,
      });
      if (command.optsWithGlobals<GlobalOptions>().json) printJson(result);
      else for (const line of report(result)) process.stdout.write(`${line}\n`);
    });
}

function repoName(text: string): string {
  if (!isHubName(text)) throw new InvalidArgumentError("Expected owner/name or owner/name@revision.");
  return text;
}

function* report({ path, files, leftOut, totalBytes, fetchedBytes }: PullResult): Generator<string> {
  yield path;
  yield `${files.length} files, ${formatBytes(totalBytes)}, ${formatBytes(fetchedBytes)} of them downloaded now`;
  if (leftOut.length === 0) return;
  const size = formatBytes(leftOut.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  yield `left out (use --include to download them): ${leftOut.map((file) => file.path).join(", ")}; ${size}`;
}
