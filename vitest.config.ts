import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["kelix-source"] } },
  resolve: { conditions: ["kelix-source"] },
  test: {
    include: ["src/**/*.test.ts", "tools/**/*.test.ts", "test/**/*.test.ts", "web/**/*.test.ts"],
    exclude: ["test/long/**", "test/browser/**"],
    testTimeout: 120_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 120_000,
    // Each worker's ONNX Runtime uses all cores: more workers only wait for each other.
    maxWorkers: 2,
  },
});
