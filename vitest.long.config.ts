// npm run test:long: what takes minutes. Kills, races, other versions of Node, a watch on the network.

import { defineConfig } from "vitest/config";
import { ResultTable } from "./test/long/result-table.ts";

export default defineConfig({
  ssr: { resolve: { conditions: ["kelix-source"] } },
  resolve: { conditions: ["kelix-source"] },
  test: {
    include: ["test/long/**/*.test.ts", "test/browser/*webgpu.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
    maxWorkers: 1,
    reporters: ["default", new ResultTable()],
  },
});
