// Where the Hub and its cache are, by the environment variables that Hugging Face's Python library reads. An empty variable is as good
// as none.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, quote } from "../errors.ts";
import { publicUrl } from "../files/safe-url.ts";
import { homeFolder } from "./home-folder.ts";

export interface HubSettings {
  /** Address of the Hub or of a mirror, without a slash at its end. A user name and password in it are sent to it alone. */
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

/**
 * Reads HF_ENDPOINT, HF_TOKEN (or the token file), HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE and their older names. Throws an InputError for an
 * endpoint that is no address, and where there is no home folder and no HF_HOME.
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
