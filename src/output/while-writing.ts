// What the operating system refuses while a file is written, as a sentence about that file.

import { KelixError, quote } from "../errors.ts";
import { systemCode, systemReason } from "../files/system-error.ts";

/** Does what writes `name`; what the system refuses becomes one sentence about that name. */
export async function whileWriting<T>(name: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause;
    throw new KelixError(`${quote(name)} could not be written: ${systemReason(cause)}`, {
      code: "output_failed",
      cause,
    });
  }
}
