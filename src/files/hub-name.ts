// Names of the Hub: repositories, revisions, and paths of files in a repository. All of them become parts of local paths, and
// paths come from a server, so a name that could lead out of the cache is rejected.

/** A repository at a revision: a branch, a tag, or a commit. */
export interface HubName {
  readonly repo: string;
  readonly revision: string;
}

const DEFAULT_REVISION = "main";

/** As the Hub has it: letters, digits, _ - and . inside; two parts of at most 96 characters. */
const repoPattern = /^\w(?:[\w.-]{0,94}\w)?\/\w(?:[\w.-]{0,94}\w)?$/;

/** "owner/name" or "owner/name@revision"; undefined for any other text. */
export function parseHubName(text: string, defaultRevision = DEFAULT_REVISION): HubName | undefined {
  const at = text.indexOf("@");
  const repo = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? defaultRevision : text.slice(at + 1);
  // "--" stands for the slash in the cache's folder names, so that the Hub allows it in no name.
  const isRepo = repoPattern.test(repo) && !/--|\.\./.test(repo);
  return isRepo && isPlainPath(revision) ? { repo, revision } : undefined;
}

/** The name as a user would write it. */
export function formatHubName({ repo, revision }: HubName): string {
  return revision === DEFAULT_REVISION ? repo : `${repo}@${revision}`;
}

const MAX_PATH = 1024;
/** Of most file systems. */
const MAX_SEGMENT_BYTES = 255;

/**
 * Whether a path with "/" between its parts stays below the folder that it is joined to, by the rules of POSIX and of Windows:
 * relative, without "." and "..", drive letters, backslashes and control characters.
 */
export function isPlainPath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (path.length > MAX_PATH || /[\\:\u0000-\u001f\u007f]/.test(path)) return false;
  return path
    .split("/")
    .every(
      (part) =>
        part !== "" && part !== "." && part !== ".." && new TextEncoder().encode(part).length <= MAX_SEGMENT_BYTES,
    );
}
