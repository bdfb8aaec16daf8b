// Everything that is fuzzed. The quick test (fuzz.test.ts) and the long run (../long/fuzzing.test.ts) share this list.

import type { Target } from "./target.ts";
import { binaryTargets } from "./targets/binary.ts";
import { configTargets } from "./targets/configs.ts";
import { dataTargets } from "./targets/data.ts";
import { jobTargets } from "./targets/jobs.ts";
import { receiptTargets } from "./targets/receipts.ts";
import { serverTargets } from "./targets/server.ts";
import { textTargets } from "./targets/text.ts";

export const targets: readonly Target[] = [
  ...binaryTargets,
  ...configTargets,
  ...textTargets,
  ...dataTargets,
  ...serverTargets,
  ...receiptTargets,
  ...jobTargets,
];
