// Builds the page from this package's sources. scripts/build-page.mjs runs it.

import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig } from "vite";

const conditions = ["kelix-source", "onnxruntime-web-use-extern-wasm", ...defaultClientConditions];

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  logLevel: "warn",
  resolve: { conditions },
  build: {
    target: "es2023",
    emptyOutDir: true,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    assetsInlineLimit: 0,
    license: { fileName: "licences.md" },
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
});
