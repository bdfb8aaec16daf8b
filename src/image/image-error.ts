import { InputError } from "../errors.ts";

/** An image that cannot be used. A decoder's own text may tell about the machine: it stays in `cause`. */
export function imageError(message: string, cause?: unknown): InputError {
  return new InputError(message, { code: "invalid_image", cause });
}
