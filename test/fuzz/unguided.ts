// A thread of guided.ts that runs edits of what was found. It measures no coverage, so its parsers are as fast as they are for users.

import { parentPort, workerData } from "node:worker_threads";
import { counterRandom } from "../../src/random/counter.ts";
import { MAX_FAULTS, Prober } from "./prober.ts";
import { targets } from "./targets.ts";

export interface UnguidedInputs {
  /** Of the target. */
  readonly name: string;
  readonly inputs: number;
  readonly seed: number;
  readonly folder: string;
  readonly found: readonly Uint8Array[];
  readonly started: BigInt64Array;
}

const { name, inputs, seed, folder, found, started } = workerData as UnguidedInputs;
const target = targets.find((one) => one.name === name)!;
await target.seeds(); // a target may prepare what it reads with
const prober = new Prober(target, folder, started, "unguided-fault");
const random = counterRandom(seed, `${name} unguided`);
let draws = 0;
const draw = (below: number) => Math.floor(random.uniform(draws++) * below);
let done = 0;
while (done < inputs && prober.faults.length < MAX_FAULTS) {
  await prober.probe(prober.make(found, draw));
  done++;
}
const { accepted, slowestMs, faults } = prober;
parentPort!.postMessage({ inputs: done, accepted, slowestMs, faults });
