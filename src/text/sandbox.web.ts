// Runs chat templates in a browser, on the caller's thread, which should be a worker: a deadline between the template's
// steps ends loops and recursion. A single step is not interrupted, but limits on text and lists bound it.

import type { TemplateSandbox } from "./chat-template.ts";
import { renderTemplate } from "./render-template.js";

const DEADLINE_MS = 2_000;

export const steppedSandbox: TemplateSandbox = {
  warm: () => undefined,
  render: (job) => renderTemplate(job, DEADLINE_MS),
  limits: `${DEADLINE_MS / 1000} s`,
};
