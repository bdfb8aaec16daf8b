// ONNX Runtime's native library reports usage to its vendor unless the environment variable ORT_DISABLE_TELEMETRY is set before
// its first use: it stores a device id below the home folder and looks up a collector's name. Kelix sets the variable; whoever
// wants the reports sets it to 0.

import { isMainThread } from "node:worker_threads";
import { KelixError } from "../errors.ts";
import { mainRealm } from "./main-realm.node.ts";

const NAME = "ORT_DISABLE_TELEMETRY";

// When Kelix is imported, so that worker threads started later inherit it. Empty is absent.
if (isMainThread) mainRealm.process.env[NAME] ||= "1";

/** To be awaited before the native library is loaded. Throws in a worker thread where the reports cannot be switched off. */
export async function silenceTelemetry(): Promise<void> {
  // A worker's process.env is a copy that native code does not see. It holds what its parent had when the worker was started.
  if (isMainThread || process.env[NAME]) return;
  const isSet = await setInMainThread().catch(() => false);
  if (isSet) process.env[NAME] = "1";
  else
    throw new KelixError(
      `In this worker thread the usage reports of ONNX Runtime cannot be switched off: import kelix in the main thread too, or set ${NAME}=1 in the environment`,
    );
}

const TIMEOUT_MS = 2000;

/** The inspector is the one way from a worker to the main thread's environment without the main thread's help. */
async function setInMainThread(): Promise<boolean> {
  const { Session } = await import("node:inspector");
  const session = new Session();
  session.connectToMainThread();
  try {
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), TIMEOUT_MS);
      const expression = `process.env.${NAME} ||= "1"`;
      session.post("Runtime.evaluate", { expression, returnByValue: true }, (error, answer) => {
        clearTimeout(timer);
        resolve(error === null && answer?.result.type === "string");
      });
    });
  } finally {
    session.disconnect();
  }
}
