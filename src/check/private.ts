// Removes personal data from a report: reports are pasted where anyone can read them.

import { homedir, userInfo } from "node:os";

/** A copy with the home folder as "~", the user's name in other paths as "USER", and tokens removed. */
export function withoutPrivate<T>(value: T, environment: NodeJS.ProcessEnv = process.env): T {
  const clean = cleaner(environment);
  const copy = (value: unknown): unknown => {
    if (typeof value === "string") return clean(value);
    if (Array.isArray(value)) return value.map(copy);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [clean(key), copy(inner)]));
  };
  return copy(value) as T; // of the same shape
}

function cleaner(environment: NodeJS.ProcessEnv): (text: string) => string {
  const secrets = Object.entries(environment).flatMap(([name, secret]) =>
    /TOKEN|SECRET|PASSWORD|API_?KEY/i.test(name) && secret && secret.length >= 6 ? [secret] : [],
  );
  const names = [userName(), environment.USER, environment.USERNAME, environment.LOGNAME].filter(
    (name) => name !== undefined && name !== "",
  );
  const homes = [homedir(), environment.HOME, environment.USERPROFILE].filter((home) => home && home.length > 1);
  return (text) => {
    let cleaned = text;
    for (const secret of secrets) cleaned = cleaned.replaceAll(secret, "TOKEN");
    // Hub tokens, wherever they come from.
    cleaned = cleaned.replaceAll(/\bhf_[A-Za-z0-9]{6,}/g, "TOKEN");
    for (const home of homes) cleaned = cleaned.replaceAll(home!, "~");
    for (const name of names)
      cleaned = cleaned.replaceAll(new RegExp(`(?<=[\\\\/])${escapePattern(name!)}(?=[\\\\/]|$)`, "g"), "USER");
    return cleaned;
  };
}

function userName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined; // a user without an entry, as in some containers
  }
}

function escapePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
