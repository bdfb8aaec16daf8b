// Why fetch failed, in words. It throws a TypeError that says little; the system's code is somewhere down its causes.

import { withoutSecrets } from "./safe-url.ts";

export interface ConnectionFault {
  /** In words, with the code: "the connection was refused (ECONNREFUSED)". */
  readonly reason: string;
  /** Whether it may pass by itself. */
  readonly canRetry: boolean;
  readonly cause: Error;
}

interface Kind {
  readonly pattern: RegExp;
  readonly words: string;
  readonly canRetry: boolean;
}

const kinds: readonly Kind[] = [
  { pattern: /^ECONNREFUSED$/, words: "the connection was refused; nothing listens there", canRetry: true },
  { pattern: /^ENOTFOUND$/, words: "the host's name is not known", canRetry: true },
  { pattern: /^EAI_/, words: "the host's name could not be looked up; is there a network?", canRetry: true },
  { pattern: /^(ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET)$/, words: "the connection was cut", canRetry: true },
  { pattern: /TIMEOUT|TIMEDOUT/, words: "no answer came in time", canRetry: true },
  {
    pattern: /^(EHOST|ENET)(UNREACH|DOWN)$/,
    words: "there is no way to the host; is there a network?",
    canRetry: true,
  },
  { pattern: /^(Z_|ERR_.*(FORMAT|ZLIB|PADDING))/, words: "what came cannot be decompressed", canRetry: true },
  {
    pattern: /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ALTNAME/,
    words: "the host's certificate is not trusted; behind a company's proxy NODE_EXTRA_CA_CERTS names its certificate",
    canRetry: false,
  },
  {
    pattern: /^(EPROTO|ERR_SSL_.*|ERR_TLS_.*)$/,
    words: "the host does not speak TLS; http in place of https?",
    canRetry: false,
  },
  { pattern: /^HPE_/, words: "what came is not HTTP", canRetry: false },
  { pattern: /^UND_ERR_/, words: "the connection failed", canRetry: true },
];

/** Messages of fetch that have no code. */
const codeless: readonly (readonly [RegExp, string])[] = [
  [/does not match the HTTP/, "what came is not HTTP"],
  [/bad port/, "fetch does not connect to this port"],
  [/redirect count/, "it redirects without end"],
  [/redirect|scheme|cross.origin/i, "it redirects to an address that cannot be followed"],
];

/** What a failed fetch, or reading its body, says about the connection. `hint` adds to the reason of a code. */
export function explainConnection(error: unknown, hint: (code?: string) => string = () => ""): ConnectionFault {
  const chain = causesOf(error);
  const code = chain.map((link) => link.code).findLast((code) => typeof code === "string" && code !== "ABORT_ERR");
  const kind = kinds.find(({ pattern }) => pattern.test(code ?? ""));
  const text = chain.map(({ message }) => message).join(" ");
  const words =
    kind?.words ?? codeless.find(([pattern]) => pattern.test(text))?.[1] ?? "for a reason that is not known";
  return {
    reason: `${words}${code ? ` (${code})` : ""}${hint(code)}`,
    canRetry: kind?.canRetry ?? false,
    cause: plainError(error),
  };
}

type CodedError = Error & { readonly code?: string };

const MAX_CAUSES = 8;

function causesOf(error: unknown): CodedError[] {
  const chain: CodedError[] = [];
  for (let link = error; link instanceof Error && chain.length < MAX_CAUSES; link = link.cause) chain.push(link);
  return chain;
}

/** An error of fetch, or of a library over it, with its causes, as plain ones: fetch hangs addresses and headers on its own. */
export function plainError(error: unknown): Error {
  return plainCopy(causesOf(error));
}

function plainCopy([first, ...rest]: readonly CodedError[]): Error {
  const copy = new Error(
    withoutSecrets(first?.message ?? "unknown"),
    rest.length > 0 ? { cause: plainCopy(rest) } : {},
  );
  copy.stack = withoutSecrets(first?.stack ?? String(copy));
  return Object.assign(copy, first?.code !== undefined && { code: first.code });
}
