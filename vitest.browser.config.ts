// npm run test:browser: the packed package in Chromium, bundled by vite and by esbuild.

import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["kelix-source"] } },
  resolve: { conditions: ["kelix-source"] },
  test: {
    include: ["test/browser/**/*.test.ts"],
    exclude: ["test/browser/*webgpu.test.ts"], // on a software adapter they take minutes: see vitest.long.config.ts
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 1,
    expect: { poll: { timeout: 60_000 } },
  },
});
