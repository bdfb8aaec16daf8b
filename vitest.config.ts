import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

const elsewhere = ["test/long/", "test/browser/"];
const files = ["src", "tools", "test", "web"]
  .flatMap((folder) => readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)))
  .filter((path) => path.endsWith(".test.ts") && !elsewhere.some((folder) => path.startsWith(folder)));
/** Those that replace modules need imports of their own. All others share theirs, which saves a third of the time. */
const apart = files.filter((path) => readFileSync(path, "utf8").includes("vi.mock("));
const together = files.filter((path) => !apart.includes(path));

export default defineConfig({
  ssr: { resolve: { conditions: ["kelix-source"] } },
  resolve: { conditions: ["kelix-source"] },
  test: {
    testTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 120_000,
    setupFiles: ["test/same-bytes.ts"],
    // One more than CI has cores: some tests wait for deadlines and processes.
    maxWorkers: 3,
    projects: [
      { extends: true, test: { name: "together", include: together, isolate: false } },
      { extends: true, test: { name: "apart", include: apart } },
    ],
  },
});
