// For tests: a server that speaks S3 on a free port (the npm package s3rver). A test may answer requests in its place, as storage does
// that is overloaded, or falls silent. It checks no signatures and writes objects in place, so test/long/s3s-server.ts has a stricter one.

import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "s3rver";

/** Answers a request, or returns false to leave it to the server. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface TestS3 {
  /** What a client needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Method and path of every request since the last call. */
  requests(): string[];
  breakWith(fault: Fault | undefined): void;
  /** Uploads in parts that were begun and neither completed nor removed. */
  unfinished(bucket: string): Promise<string[]>;
  close(): Promise<void>;
}

const UPLOADS = "._S3rver_uploads";

export async function startS3(...buckets: readonly string[]): Promise<TestS3> {
  const directory = await mkdtemp(join(tmpdir(), "kelix-s3-"));
  const s3 = new S3rver({ silent: true, directory, configureBuckets: buckets.map((name) => ({ name, configs: [] })) });
  await s3.configureBuckets();
  const answer = s3.callback();
  let fault: Fault | undefined;
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (fault?.(request, response)) return;
    if (request.method === "DELETE" && request.url?.includes("uploadId=")) void removeUpload(request, response);
    else answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");

  /** AbortMultipartUpload, which s3rver lacks. */
  async function removeUpload({ url = "" }: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(url, "http://s3");
    const bucket = pathname.split("/")[1]!;
    await rm(join(directory, bucket, UPLOADS, searchParams.get("uploadId")!), { recursive: true, force: true });
    response.writeHead(204).end();
  }

  return {
    env: {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: "S3RVER",
      AWS_SECRET_ACCESS_KEY: "S3RVER",
      AWS_REGION: "us-east-1",
      // Nothing of whoever runs the test.
      AWS_CONFIG_FILE: "/nonexistent",
      AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    },
    requests: () => seen.splice(0),
    breakWith(next) {
      fault = next;
    },
    unfinished: (bucket) => readdir(join(directory, bucket, UPLOADS)).catch(() => []),
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
      await rm(directory, { recursive: true });
    },
  };
}

/** An error as S3 sends it. */
export function answerS3(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "Content-Type": "application/xml" });
  response.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}
