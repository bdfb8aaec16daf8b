// @ts-check
// Renders a chat template. Templates are untrusted programs: a platform runs this where it can be stopped (sandbox.node.ts), or with limits (sandbox.web.ts).

import { Environment, Interpreter, Template } from "@huggingface/jinja";

/**
 * @typedef {object} TemplateJob
 * @property {string} source
 * @property {Readonly<Record<string, unknown>>} [variables] what the template can name; it is only parsed if absent
 *
 * @typedef {{ readonly text: string } | { readonly fault: "syntax" | "runtime" | "refused" | "size", readonly reason: string }} TemplateResult
 *   text, or why there is none: a fault of the template, its own sentence about the conversation (`raise_exception`), or too much text
 */

/** Characters of a rendered conversation: far above any context, and still encoded in seconds. */
const MAX_RENDERED = 8_000_000;

/** A template's own complaint. */
class Refusal extends Error {}

/** @type {{ source: string, template: Template } | undefined} */
let latest;

/** Ends a template that has run too long. */
class Stop extends Error {}

/**
 * @param {TemplateJob} job
 * @param {{ readonly deadlineMs: number, readonly maxRange: number }} [limits] for where the caller cannot stop it from outside
 * @returns {TemplateResult | undefined} undefined when it went beyond the limits
 */
export function renderTemplate({ source, variables }, limits) {
  try {
    if (latest?.source !== source) latest = { source, template: new Template(source) };
  } catch (error) {
    return { fault: "syntax", reason: reasonOf(error) };
  }
  if (!variables) return { text: "" };
  try {
    const environment = new Environment();
    const own = limits && { range: limitedRange(limits.maxRange) };
    for (const [name, value] of Object.entries({ ...globals, ...own, ...variables })) environment.set(name, value);
    const interpreter = new Interpreter(environment);
    if (limits) stopAfter(interpreter, limits.deadlineMs);
    const text = String(interpreter.run(latest.template.parsed).value);
    return text.length > MAX_RENDERED ? { fault: "size", reason: `${text.length} characters` } : { text };
  } catch (error) {
    if (error instanceof Stop) return undefined;
    return { fault: error instanceof Refusal ? "refused" : "runtime", reason: reasonOf(error) };
  }
}

/**
 * Looks at the clock before each step: templates have no `while`, so what runs long is made of steps, or of one `range`.
 * @param {Interpreter} interpreter
 * @param {number} deadlineMs
 */
function stopAfter(interpreter, deadlineMs) {
  const end = performance.now() + deadlineMs;
  const evaluate = interpreter.evaluate.bind(interpreter);
  /** @param {unknown[]} step */
  interpreter.evaluate = (...step) => {
    if (performance.now() > end) throw new Stop();
    return evaluate(...step);
  };
}

/** What templates can name everywhere, as the library's own `render` and transformers have it. */
const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  strftime_now: formatNow,
  /** @param {unknown} reason */
  raise_exception: (reason) => {
    throw new Refusal(String(reason));
  },
};

/** @type {(start: number, stop?: number, step?: number) => number[]} */
function range(start, stop, step = 1) {
  const [first, end] = stop === undefined ? [0, start] : [start, stop];
  if (![first, end, step].every(Number.isInteger) || step === 0) throw new Error("range() takes whole numbers");
  const numbers = [];
  for (let i = first; step > 0 ? i < end : i > end; i += step) numbers.push(i);
  return numbers;
}

/** @param {number} most */
function limitedRange(most) {
  /** @type {typeof range} */
  return (start, stop, step = 1) => {
    if (Math.abs((stop === undefined ? start : stop - start) / step) > most) throw new Stop();
    return range(start, stop, step);
  };
}

/**
 * The time now by a format of Python's strftime, in English.
 * @param {string} format
 */
function formatNow(format) {
  const now = new Date();
  /** @param {Intl.DateTimeFormatOptions} options */
  const part = (options) => new Intl.DateTimeFormat("en-US", options).format(now);
  /** @param {number} value */
  const two = (value) => String(value).padStart(2, "0");
  /** @type {Readonly<Record<string, () => string>>} */
  const parts = {
    Y: () => String(now.getFullYear()),
    y: () => two(now.getFullYear() % 100),
    m: () => two(now.getMonth() + 1),
    B: () => part({ month: "long" }),
    b: () => part({ month: "short" }),
    d: () => two(now.getDate()),
    A: () => part({ weekday: "long" }),
    a: () => part({ weekday: "short" }),
    H: () => two(now.getHours()),
    M: () => two(now.getMinutes()),
    S: () => two(now.getSeconds()),
    "%": () => "%",
  };
  return format.replace(
    /%(.)/g,
    (code, letter) => (Object.hasOwn(parts, letter) ? parts[letter]?.() : undefined) ?? code,
  );
}

/** @param {unknown} error */
function reasonOf(error) {
  return error instanceof Error ? error.message : String(error);
}
