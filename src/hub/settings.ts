// Where the Hub and its cache are, by the environment variables that Hugging Face's Python library reads.

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { FetchError } from "../errors.ts";

export interface HubSettings {
  /** Address of the Hub or of a mirror, without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint and to no other host. */
  readonly token?: string;
  /** Holds a folder for each repository, such as models--owner--name. */
  readonly cacheFolder: string;
  /** Nothing is asked of the network; what is in the cache is used. */
  readonly isOffline: boolean;
  /** A connection over which nothing comes for so long is given up and tried again. */
  readonly stallMs: number;
  /** Pause before the second try; it doubles with each further one. */
  readonly backoffMs: number;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const STALL_MS = 30_000;
const BACKOFF_MS = 500;

/** Reads HF_ENDPOINT, HF_TOKEN (or the token file), HF_HUB_CACHE, HF_HOME and HF_HUB_OFFLINE. Throws for an endpoint that is no address. */
export async function readHubSettings(env: NodeJS.ProcessEnv = process.env): Promise<HubSettings> {
  const home = expandHome(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"));
  const token = env.HF_TOKEN?.trim() || (await readToken(expandHome(env.HF_TOKEN_PATH || join(home, "token"))));
  return {
    endpoint: readEndpoint(env.HF_ENDPOINT || DEFAULT_ENDPOINT),
    ...(token && { token }),
    cacheFolder: expandHome(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub")),
    isOffline: /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? ""),
    stallMs: STALL_MS,
    backoffMs: BACKOFF_MS,
  };
}

function readEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:")
    throw new FetchError(`Expected HF_ENDPOINT to be an address such as ${DEFAULT_ENDPOINT}, got ${text}`);
  return text.replace(/\/+$/, "");
}

/** The file that `hf auth login` writes; most machines have none. */
async function readToken(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text?.trim() || undefined;
}

function expandHome(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, () => homedir());
}
