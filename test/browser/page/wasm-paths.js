// As vite gives the addresses of files that it leaves as they are.

import mjs from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url&no-inline";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";

export const wasmPaths = { mjs, wasm };
