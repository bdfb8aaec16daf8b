// Attacks on a server that speaks OpenAI's API: what is sent, and how to tell whether the server held. They are known failures of such
// servers, and none of them does lasting harm; run them against servers of your own.

import { access } from "./access.ts";
import { bodies } from "./bodies.ts";
import { connections } from "./connections.ts";
import { downloads } from "./downloads.ts";
import { type Attack, type Finding, failed, skipped } from "./finding.ts";
import { images } from "./images.ts";
import { neighbours } from "./neighbours.ts";
import { Target, type TargetSettings } from "./target.ts";

export type AttackResult = Finding & Pick<Attack, "name" | "about">;

/** All of them, in the order in which they are run: the ones that may bring a server down come last. */
export const attacks: readonly Attack[] = [
  ...access,
  ...bodies,
  ...images,
  ...downloads,
  ...neighbours,
  ...connections,
];

export interface AttackSettings extends TargetSettings {
  /** Names of those to run; all if absent. */
  readonly only?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told each result as it comes. */
  readonly onResult?: ((result: AttackResult) => void) | undefined;
}

/**
 * Runs the attacks one after the other. After each the server must still answer; where it does not, that attack has failed, and the rest are
 * skipped. Throws an InputError where there is no such server, or it wants another key.
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
      finding = await attack.run(target).catch((error) => failed(`the attack was cut: ${(error as Error).message}`));
      isAlive = await target.isAlive();
      if (!isAlive && finding.verdict !== "failed") finding = failed("afterwards the server did not answer any more");
    }
    const result = { name, about, ...finding };
    results.push(result);
    onResult?.(result);
  }
  return results;
}
