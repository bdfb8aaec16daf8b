import type { Storage } from "./storage.ts";
export function s3Storage(): Storage {
  throw new Error();
}
