// Kelix runs here. `wasm-paths.js` differs between the bundlers.

import { Kelix } from "kelix";
import { runJob } from "./job.js";
import { wasmPaths } from "./wasm-paths.js";

addEventListener("message", async ({ data: { id, job } }) => {
  try {
    const options = { ...job.options, ...(job.hasWasmPaths && { wasmPaths }) };
    postMessage({ id, result: await runJob(Kelix, { ...job, options }) });
  } catch (error) {
    postMessage({ id, error: { name: error.name, code: error.code, message: error.message } });
  }
});
