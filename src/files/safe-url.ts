// What of an address may be shown or stored. User names, passwords, queries and fragments may be secrets: the query of a signed
// address is as good as a password. Whatever prints or stores an address, or a text in which one may stand, passes through here.

/** An address without what may be secret, a data URL as its type alone; a path, or what is no address, as it is. */
export function publicUrl(input: string | URL): string {
  const text = String(input).replace(/^[\0-\x20]+|[\t\n\r]/g, ""); // as parsers of addresses do
  if (/^data:/i.test(text)) return text.slice(0, text.search(/[;,]|$/));
  const [, scheme] = /^([a-z][a-z0-9+.-]*):(?=[/\\]{2})/i.exec(text) ?? /^(https?|wss?|ftp):/i.exec(text) ?? [];
  if (scheme === undefined) return String(input);
  const rest = text.slice(scheme.length + 1).replace(/[?#][\s\S]*$/, "");
  if (/^file$/i.test(scheme)) return `${scheme}:${rest}`;
  const isSlashed = /^(https?|wss?|ftp)$/i.test(scheme); // in these a backslash is a slash
  const parts = isSlashed ? /^([/\\]*)([^/\\]*)([\s\S]*)$/ : /^([/\\]*)([^/]*)([\s\S]*)$/;
  const [, slashes = "", authority = "", path = ""] = parts.exec(rest) ?? [];
  // Of what is not well formed nobody knows where the password ends.
  const named = URL.canParse(text) ? authority : authority + path;
  return `${scheme}:${slashes}${named.slice(named.lastIndexOf("@") + 1)}${URL.canParse(text) ? path : ""}`;
}

const addressPattern =
  /\b(?:[a-z][a-z0-9+.-]{1,30}:[/\\]{2}|[a-z]:\/\/|(?:https?|wss?|ftp):[/\\])[^\s"<>]+|\bdata:(?:[\w.+-]+\/[\w.+-]+)?(?:;[\w=.+-]+)*,[^\s"<>]*/gi;

/** As the Hub makes tokens, and as headers carry them. */
const tokenPattern = /\bhf_[A-Za-z0-9]{12,}|\b([Bb]earer|[Bb]asic) +[\w.~+/=-]{8,}/g;

/** What may name a user, up to where a path begins: parsers accept quotes and control characters there, and no slashes before it. */
const authorityPattern = /\b((?:https?|wss?|ftp):[/\\]*|[a-z][a-z0-9+.-]{0,30}:\/\/)([^\s/?#]*)/gi;

/** A text with the addresses in it cut as by `publicUrl`, and tokens taken out. */
export function withoutSecrets(text: string): string {
  return text
    .replace(authorityPattern, (_, start: string, named: string) => start + named.slice(named.lastIndexOf("@") + 1))
    .replace(addressPattern, (address) => {
      const shown = publicUrl(address);
      return shown.length < address.length ? shown + sentenceEnd(address) : address;
    })
    .replace(tokenPattern, (_, scheme: string | undefined) => (scheme ? `${scheme} ***` : "hf_***"));
}

/** What follows on an address in a sentence, such as `',`. */
function sentenceEnd(address: string): string {
  let end = address.length;
  while (end > 0 && ").,;:]'`".includes(address[end - 1]!)) end--;
  return address.slice(end);
}

/** An address that fetch accepts, which rejects user names in it, and the header that says the same. */
export function splitCredentials(input: string | URL): { url: URL; headers: Readonly<Record<string, string>> } {
  const url = new URL(input);
  const { username, password } = url;
  if (!username && !password) return { url, headers: {} };
  url.username = "";
  url.password = "";
  const bytes = `${username}:${password}`.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return { url, headers: { Authorization: `Basic ${btoa(bytes)}` } };
}
