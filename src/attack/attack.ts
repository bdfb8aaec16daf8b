// Attacks on a server with OpenAI's API: known failures of such servers, and how to tell whether this one withstands them. None does lasting
// harm to a server that does. Run them only against your own servers.

import { access } from "./access.ts";
import { bodies } from "./bodies.ts";
import { connections } from "./connections.ts";
import { downloads } from "./downloads.ts";
import { type Attack, type Finding, failed, skipped } from "./finding.ts";
import { images } from "./images.ts";
import { neighbours } from "./neighbours.ts";
import { Target, type TargetSettings } from "./target.ts";

export type AttackResult = Finding & Pick<Attack, "name" | "about">;

/** All attacks in the order they run. Those that may bring a server down come last. */
export const attacks: readonly Attack[] = [
  ...access,
  ...bodies,
  ...images,
  ...downloads,
  ...neighbours,
  ...connections,
];

export interface AttackSettings extends TargetSettings {
  /** Names of the attacks to run; all if absent. */
  readonly only?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with each result. */
  readonly onResult?: ((result: AttackResult) => void) | undefined;
}

/**
 * Runs the attacks one after another. One that succeeds is repeated, and counts if it succeeds again. The server must still answer after
 * each; if it does not, the attack has succeeded (`failed`) and the rest are skipped. Throws an InputError if there is no such server or the key is wrong.
 */
export async function attackServer(settings: AttackSettings): Promise<AttackResult[]> {
  const { only, signal, onResult } = settings;
  const target = await Target.open(settings);
  const results: AttackResult[] = [];
  let isAlive = true;
  for (const attack of attacks.filter(({ name }) => only?.includes(name) ?? true)) {
    signal?.throwIfAborted();
    const { name, about } = attack;
    let finding = skipped("the server no longer answers");
    if (isAlive) {
      finding = await run(attack, target);
      isAlive = await target.isAlive();
      if (!isAlive && finding.verdict !== "failed") finding = failed("the server stopped answering");
      else if (isAlive && finding.verdict === "failed") finding = await confirm(finding, attack, target);
    }
    const result = { name, about, ...finding };
    results.push(result);
    onResult?.(result);
  }
  return results;
}

function run(attack: Attack, target: Target): Promise<Finding> {
  return attack.run(target).catch((error) => failed(`the attack could not finish: ${(error as Error).message}`));
}

/**
 * Repeats an attack that seems to have succeeded. On a busy machine or network an answer may be late once, or an idle connection may be
 * closed just as it is used. A real fault shows again.
 */
async function confirm(first: Finding, attack: Attack, target: Target): Promise<Finding> {
  const again = await run(attack, target);
  if (again.verdict === "failed") return again;
  return { ...again, sentence: `${again.sentence} (at the second attempt; the first: ${first.sentence})` };
}
