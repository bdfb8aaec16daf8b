// How long a server asks to be left alone: `Retry-After` in seconds or as a date (RFC 9110), and `RateLimit` as the Hub sends it,
// `"resolvers";r=0;t=55` (draft-ietf-httpapi-ratelimit-headers: calls that remain, seconds until there are new ones).

/** In milliseconds; 0 if it asks for nothing. `nowMs` is the time where the answer has none. */
export function askedPauseMs(headers: Headers, nowMs: number = Date.now()): number {
  return Math.max(retryAfterMs(headers, nowMs), rateLimitMs(headers.get("RateLimit") ?? ""));
}

function retryAfterMs(headers: Headers, nowMs: number): number {
  const text = headers.get("Retry-After")?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  if (Number.isNaN(date)) return 0;
  // The date is by the server's clock, and so is that of the answer.
  const answered = Date.parse(headers.get("Date") ?? "");
  return Math.max(0, date - (Number.isNaN(answered) ? nowMs : answered));
}

function rateLimitMs(text: string): number {
  const limits = text.split(",").map((limit) => ({
    remaining: /(?:^|[\s;])r(?:emaining)?\s*=\s*(\d+)/i.exec(limit)?.[1],
    seconds: Number(/(?:^|[\s;])(?:t|reset)\s*=\s*(\d+)/i.exec(limit)?.[1] ?? 0),
  }));
  // Of several limits those count that are used up; earlier drafts tell the numbers apart by commas.
  const usedUp = limits.filter(({ remaining }) => remaining === "0");
  const counting = usedUp.some(({ seconds }) => seconds > 0) ? usedUp : limits;
  return 1000 * Math.max(...counting.map(({ seconds }) => seconds));
}
