import { randomModel } from "/work/wt/server/tools/bench/serving/random-model.ts";

const t = performance.now();
console.log(await randomModel((process.argv[2] ?? "toy") as "toy", 128), performance.now() - t);
