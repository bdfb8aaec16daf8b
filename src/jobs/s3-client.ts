// The client of S3-compatible storage, and what its failures mean. Credentials, region and endpoint come from the environment
// (AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3) and ~/.aws, as the SDK reads them.

import type { S3Client } from "@aws-sdk/client-s3";
import { FetchError, InputError, quote } from "../errors.ts";
import { explainConnection } from "../files/connection-error.ts";
import { needPackage } from "../runtime/optional-package.ts";

/** Establishing a connection may take this long. */
const CONNECT_MS = 10_000;

export function loadS3(): Promise<typeof import("@aws-sdk/client-s3")> {
  return needPackage(() => import("@aws-sdk/client-s3"), "s3://", "@aws-sdk/client-s3@3 @aws-sdk/lib-storage@3");
}

/** A connection without traffic for `silenceMs` fails. The SDK itself tries a request three times (AWS_MAX_ATTEMPTS). */
export async function openS3(silenceMs: number): Promise<S3Client> {
  // It would print a warning about Node 20 among the command's own lines.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  const { S3Client } = await loadS3();
  const isElsewhere = Boolean(process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL);
  return new S3Client({
    // Only Amazon gives each bucket a host name of its own.
    forcePathStyle: isElsewhere,
    // Some servers do not know the SDK's default checksums.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // The SDK would wait for ever.
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: silenceMs },
  });
}

/** By the name of the error: what the storage says, and the way out. */
const REASONS: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: "the storage does not know the access key; check AWS_ACCESS_KEY_ID",
  SignatureDoesNotMatch: "the secret key does not match the access key; check AWS_SECRET_ACCESS_KEY",
  ExpiredToken: "the credentials have expired; renew them",
  RequestTimeTooSkewed: "the clock of this machine differs from the storage's; set it",
  SlowDown: "the storage asks for fewer requests (SlowDown)",
  TimeoutError: "the storage does not answer",
};

/** Names of errors that come without an HTTP status of 5xx and pass. */
const PASSING = ["TimeoutError", "SlowDown"];

/**
 * Throws what a request to `location` failed with, as one sentence. What is missing is an InputError; anything else a FetchError, with
 * `canRetry` while the storage cannot be reached or is overloaded.
 */
export function explainS3(location: string): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof InputError || cause instanceof FetchError) throw cause;
    const { name = "", message = "", code } = (cause ?? {}) as NodeJS.ErrnoException;
    const where = quote(location);
    if (name === "NoSuchBucket")
      throw new InputError(`${where}: there is no bucket ${quote(bucketOf(location))}`, { cause });
    if (["NoSuchKey", "NotFound"].includes(name)) throw new InputError(`${where}: there is no such object`, { cause });
    if (name === "CredentialsProviderError")
      throw new InputError(`${where}: there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`, {
        cause,
      });
    if (/region is missing/i.test(message))
      throw new InputError(`${where}: no region is set; set AWS_REGION (us-east-1 for a storage without regions)`, {
        cause,
      });
    const status = statusOf(cause) ?? 0;
    const why = REASONS[name] ?? (status === 403 ? "the storage does not allow this" : undefined);
    const canRetry = PASSING.includes(name) || status >= 500 || status === 429 || explainConnection(cause).canRetry;
    throw new FetchError(`${where}: ${why ?? `the storage failed: ${code ?? name}`}`, { cause, canRetry });
  };
}

/** The HTTP status of a failed request. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

function bucketOf(location: string): string {
  return location.replace(/^s3:\/\//i, "").replace(/\/.*$/s, "");
}
