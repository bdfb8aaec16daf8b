// Shards done one after the other on this machine: `kelix tokenize FOLDER`, and `kelix jobs run`.

import { type KelixError, withoutSecrets } from "../index.ts";
import { findShards } from "../jobs/find-shards.ts";
import { loadShardModel } from "../jobs/load-model.ts";
import { runShard } from "../jobs/run-shard.ts";
import type { Shard, ShardReport } from "../jobs/shard.ts";
import { parseLocation } from "../jobs/storage.ts";
import { version } from "../version.ts";
import { type GlobalOptions, loadOptions } from "./context.ts";
import { complainOf, messageOf } from "./failures.ts";
import { interrupted, printJson, report, showProgress } from "./terminal.ts";

export type Work = Pick<Shard, "task" | "options">;

/** The shards that a command names, as jobs. */
export async function shardsOf(
  work: Work,
  inputs: readonly string[],
  output: string,
  { model = "kelix-nano" }: GlobalOptions,
): Promise<Shard[]> {
  const found = await findShards(inputs);
  const location = parseLocation(output);
  return found.map(({ input, name }) => ({ ...work, input, name, output: location, model }) as Shard);
}

/** Does shards here. One that fails is told of, with the exit status 1 at the end, and the others are done. */
export async function runHere(shards: readonly Shard[], globals: GlobalOptions): Promise<void> {
  const { signal } = interrupted;
  const model = await loadShardModel(globals.model ?? "kelix-nano", loadOptions(globals));
  const results: object[] = [];
  try {
    for (const shard of shards) {
      signal.throwIfAborted();
      const { name } = shard;
      const onItem = (done: number, total: number) => showProgress(`${name} ${done}/${total}`);
      try {
        const result = await runShard(shard, { model, version, signal, onItem });
        report(`${name}: ${sentence(result)}`);
        results.push({ shard: name, ...result });
      } catch (error) {
        signal.throwIfAborted();
        complainOf(error, messageOf(error).includes(name) ? undefined : name);
        const { code = "internal" } = error as Partial<KelixError>;
        results.push({ shard: name, error: { code, message: withoutSecrets(messageOf(error)) } });
      }
    }
  } finally {
    showProgress("");
    await model.kelix.dispose();
  }
  if (globals.json) printJson(results);
}

function sentence({ isSkipped, items, bad }: ShardReport): string {
  if (isSkipped) return "was done before";
  return `${items} images${bad > 0 ? `, of which ${bad} cannot be used: see the manifest` : ""}`;
}
