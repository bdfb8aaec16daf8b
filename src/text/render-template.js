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
/** Items of a list: far above the messages of any conversation. */
const MAX_ITEMS = 1_000_000;

/** A template's own complaint. */
class Refusal extends Error {}

/** @type {{ source: string, template: Template } | undefined} */
let latest;

/** Ends a template that has run too long. */
class Stop extends Error {}

/** A text or a list that no conversation needs. */
class TooLarge extends Error {}

/**
 * @param {TemplateJob} job
 * @param {number} [deadlineMs] for where the caller cannot stop it from outside
 * @returns {TemplateResult | undefined} undefined when it went beyond the deadline
 */
export function renderTemplate({ source, variables }, deadlineMs = Number.POSITIVE_INFINITY) {
  try {
    if (latest?.source !== source) latest = { source, template: new Template(source) };
  } catch (error) {
    return { fault: "syntax", reason: reasonOf(error) };
  }
  if (!variables) return { text: "" };
  try {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
    const interpreter = new Interpreter(environment);
    watch(interpreter, deadlineMs);
    return { text: checkText(String(interpreter.run(latest.template.parsed).value)) };
  } catch (error) {
    if (error instanceof Stop) return undefined;
    if (error instanceof TooLarge) return { fault: "size", reason: error.message };
    return { fault: error instanceof Refusal ? "refused" : "runtime", reason: reasonOf(error) };
  }
}

/**
 * Looks at the clock before each step, and at the value after it: templates have no `while`, so what runs long is made of steps.
 * @param {Interpreter} interpreter
 * @param {number} deadlineMs
 */
function watch(interpreter, deadlineMs) {
  const end = performance.now() + deadlineMs;
  const evaluate = interpreter.evaluate.bind(interpreter);
  /** @param {unknown[]} step */
  interpreter.evaluate = (...step) => {
    if (performance.now() > end) throw new Stop();
    const result = evaluate(...step);
    if (typeof result.value === "string") checkText(result.value);
    else if (Array.isArray(result.value)) checkItems(result.value.length);
    return result;
  };
}

/** @param {string} text */
function checkText(text) {
  if (text.length > MAX_RENDERED) throw new TooLarge(`${text.length} characters`);
  return text;
}

/** @param {number} count */
function checkItems(count) {
  if (count > MAX_ITEMS) throw new TooLarge(`a list of ${count} items`);
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
  checkItems((end - first) / step);
  const numbers = [];
  for (let i = first; step > 0 ? i < end : i > end; i += step) numbers.push(i);
  return numbers;
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
