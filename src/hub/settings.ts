// The locations of the Hub and its cache, from the environment variables of Hugging Face's Python library. An empty variable counts
// as unset.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, quote } from "../errors.ts";
import { publicUrl } from "../files/safe-url.ts";
import { homeFolder } from "./home-folder.ts";

export interface HubSettings {
  /** URL of the Hub or a mirror, without a trailing slash. A user name and password in it are sent only there. */
  readonly endpoint: string;
  /** Sent only to the endpoint. */
  readonly token?: string;
  /** Has a folder per repository, such as models--owner--name. */
  readonly cacheFolder: string;
  /** Use only the cache, never the network. */
  readonly isOffline: boolean;
  /** A connection without data for this long is closed and retried. */
  readonly stallMs: number;
  /** Pause before the second try; doubles with each further one. */
  readonly backoffMs: number;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const STALL_MS = 30_000;
const BACKOFF_MS = 500;

/**
 * Reads HF_ENDPOINT, HF_TOKEN (or the token file), HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE and their older names. Throws an InputError for an
 * endpoint that is not a URL, and if there is neither a home folder nor HF_HOME.
 */
export async function readHubSettings(env: NodeJS.ProcessEnv = process.env): Promise<HubSettings> {
  const read = (...names: string[]) => names.map((name) => env[name]).find((value) => value?.trim());
  const home = () => {
    const named = read("HF_HOME");
    if (named !== undefined) return expandHome(named);
    return join(expandHome(read("XDG_CACHE_HOME") ?? join("~", ".cache")), "huggingface");
  };
  const folder = read("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE");
  const cacheFolder = folder === undefined ? join(home(), "hub") : expandHome(folder);
  const token = read("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")?.trim() ?? (await readToken(read("HF_TOKEN_PATH"), home));
  return {
    endpoint: readEndpoint(read("HF_ENDPOINT")?.trim() ?? DEFAULT_ENDPOINT),
    ...(token && { token }),
    cacheFolder,
    isOffline: /^(1|on|yes|true)$/i.test(read("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")?.trim() ?? ""),
    stallMs: STALL_MS,
    backoffMs: BACKOFF_MS,
  };
}

function readEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" && url?.protocol !== "http:")
    throw new InputError(
      `Expected HF_ENDPOINT to be an address such as ${DEFAULT_ENDPOINT}, got ${quote(publicUrl(text))}`,
      { code: "invalid_option" },
    );
  return text.replace(/[?#].*$/, "").replace(/\/+$/, "");
}

/** The file that `hf auth login` writes; most machines have none. */
async function readToken(path: string | undefined, home: () => string): Promise<string | undefined> {
  try {
    const text = await readFile(path === undefined ? join(home(), "token") : expandHome(path), "utf8");
    return text.trim() || undefined;
  } catch {
    return undefined;
  }
}

function expandHome(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, () => homeFolder("the cache of models", "HF_HOME"));
}
