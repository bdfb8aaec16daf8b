// What other libraries call our options, so that an unknown option can be answered with ours: OpenAI's API, the AI SDK, transformers
// and transformers.js, diffusers, llama.cpp, Ollama.

/** Our option, by names that no spelling leads to. */
const synonyms: Readonly<Record<string, readonly string[]>> = {
  maxNewTokens: [
    "maxtokens",
    "maxoutputtokens",
    "maxcompletiontokens",
    "maxlength",
    "numpredict",
    "npredict",
    "ntokens",
  ],
  steps: ["numinferencesteps", "inferencesteps", "numsteps", "nsteps", "samplingsteps", "samplesteps", "iterations"],
  guidance: ["guidancescale", "cfg", "cfgscale", "cfgweight", "classifierfreeguidance"],
  n: ["numimages", "numimagesperprompt", "numreturnsequences", "numoutputs", "count", "batchsize", "images", "samples"],
  seed: ["randomseed", "manualseed", "noiseseed", "randomstate", "generator"],
  stop: ["stopsequence", "stopsequences", "stopstring", "stopstrings", "stopwords"],
  mask: ["maskimage"],
  temperature: ["temp"],
  signal: ["abort", "abortsignal", "abortcontroller", "controller", "canceltoken", "cancel"],
  onProgress: ["progress", "progresscallback", "callback", "callbackfunction", "onstep", "onload"],
  onPreview: ["preview", "callbackonstepend", "onstepend", "partialimages"],
  onWarning: ["onwarn", "warn", "logger"],
  minNewTokens: ["mintokens", "minlength"],
  cacheKey: ["cachesalt", "promptcachekey"],
  promptLookupNumTokens: ["promptlookup", "lookup", "speculative"],
  device: ["executionprovider", "executionproviders", "provider", "providers", "backend", "ep", "devicemap", "gpu"],
  threads: ["numthreads", "nthreads", "threadcount", "cores", "intraopnumthreads"],
  detokenizer: ["dit", "diffusion", "transformer", "decoder"],
  autoencoder: ["vae", "ae"],
  revision: ["branch", "tag", "commit", "version"],
  include: ["allowpatterns", "patterns", "files"],
  promptCacheBytes: ["cachebytes", "cachesize", "promptcache", "kvcache"],
};

/** Other libraries' options that we have under no name, and the way to what they do. */
const ways: readonly (readonly [names: readonly string[], way: string])[] = [
  [["stoptokens", "stopids", "stoptokenids", "eostokenid"], "`stop` takes texts, not ids"],
  [["dosample", "sample"], "set `temperature` above 0 to sample, or to 0 for the most likely"],
  [
    ["width", "height", "size", "imagesize", "resolution", "aspectratio"],
    "an image has the size that the model was trained for",
  ],
  [
    ["dtype", "torchdtype", "quantized", "quantization", "precision", "loadin4bit", "loadin8bit", "weights"],
    "the weights' precision is the model's own; `kelix convert` changes it",
  ],
  [["stream", "streamer"], "`chat` always gives its answer in pieces"],
  [["messages", "prompt", "input", "inputs", "text"], "it is the first argument"],
  [["model", "modelid", "checkpoint"], "the model is named in `Kelix.load(name)`"],
  [["image", "images", "picture", "img"], "an image is the first argument; in `chat` it is a part of a message"],
  [["negativeprompt"], "guidance leads away from the empty prompt, and no other can be given"],
  [
    ["repetitionpenalty", "frequencypenalty", "presencepenalty", "minp", "typicalp", "numbeams", "norepeatngramsize"],
    "sampling is set by `temperature`, `topK` and `topP` alone",
  ],
  [["cachedir", "cache", "cachefolder"], "the environment variables HF_HOME and HF_HUB_CACHE set the cache"],
  [
    ["token", "apikey", "hftoken", "accesstoken", "authtoken", "useauthtoken"],
    "the environment variable HF_TOKEN holds the token",
  ],
  [["localfilesonly", "offline", "localonly"], "the environment variable HF_HUB_OFFLINE=1 keeps off the network"],
  [["tools", "toolchoice", "functions"], "the model calls no tools"],
  [["logprobs", "outputscores"], "`topLogprobs` of `chat`, and `score`, give the log-probability of each token"],
];

/** Says what is probably meant by an option that is not among `names`; undefined where nothing is like it. */
export function findMeaning(unknown: string, names: readonly string[]): string | undefined {
  const plain = plainName(unknown);
  const own = names.find((name) => plainName(name) === plain || synonyms[name]?.includes(plain));
  const way = own === undefined ? ways.find(([others]) => others.includes(plain))?.[1] : undefined;
  if (way !== undefined) return way;
  const meant = own ?? nearest(plain, names);
  return meant && `did you mean \`${meant}\`?`;
}

/** "max_new_tokens", "max-new-tokens" and "maxNewTokens" are one name. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** The name that another was probably meant to be, in whatever way its words are joined. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  return nearest(plainName(name), names);
}

/** A name is taken for a slip of the keys if one in four of its characters differs at most. */
function nearest(plain: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.floor(plain.length / 4) + 1;
  for (const name of names) {
    const distance = editDistance(plain, plainName(name), least);
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

/** Characters to insert, remove or replace between two names; `limit` where it is that or more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, character] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j]! + (character === b[j] ? 0 : 1), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return Math.min(row[b.length]!, limit);
}
