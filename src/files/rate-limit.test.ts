import { expect, test } from "vitest";
import { askedPauseMs } from "./rate-limit.ts";

const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");

test.each([
  [{ "Retry-After": "75" }, 75],
  [{ "Retry-After": "86400" }, 86_400],
  [{ "Retry-After": "Wed, 21 Oct 2026 07:30:00 GMT" }, 120],
  // By the server's clock, which is an hour ahead.
  [{ "Retry-After": "Wed, 21 Oct 2026 08:30:00 GMT", Date: "Wed, 21 Oct 2026 08:28:00 GMT" }, 120],
  [{ "Retry-After": "Wed, 21 Oct 2026 07:00:00 GMT" }, 0],
  [{ "Retry-After": "soon" }, 0],
  [{ "Retry-After": "" }, 0],
  [{ RateLimit: '"resolvers";r=0;t=55' }, 55],
  [{ RateLimit: '"api" ; r = 0 ; t = 189' }, 189],
  [{ RateLimit: '"burst";r=12;t=300, "daily";r=0;t=20' }, 20],
  [{ RateLimit: '"api";r=3;t=40' }, 40],
  [{ RateLimit: "limit=100, remaining=0, reset=50" }, 50],
  [{ RateLimit: '"resolvers";r=0;t=55', "Retry-After": "70" }, 70],
  [{ RateLimit: '"resolvers"' }, 0],
  [{}, 0],
] as const)("%j asks for %d s", (headers, seconds) => {
  expect(askedPauseMs(new Headers(headers as Record<string, string>), now)).toBe(1000 * seconds);
});
