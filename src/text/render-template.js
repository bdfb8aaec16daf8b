// @ts-check
// Renders a chat template. Templates are programs of strangers: a platform runs this where it can be stopped (sandbox.node.ts).

import { Template } from "@huggingface/jinja";

/**
 * @typedef {object} TemplateJob
 * @property {string} source
 * @property {Readonly<Record<string, unknown>>} [variables] what the template can name; it is only parsed if absent
 *
 * @typedef {{ readonly text: string } | { readonly fault: "syntax" | "runtime", readonly reason: string }} TemplateResult
 *   text, or why there is none: the template's own `raise_exception`, or a fault in it
 */

/** @type {{ source: string, template: Template } | undefined} */
let latest;

/**
 * @param {TemplateJob} job
 * @returns {TemplateResult}
 */
export function renderTemplate({ source, variables }) {
  try {
    if (latest?.source !== source) latest = { source, template: new Template(source) };
  } catch (error) {
    return { fault: "syntax", reason: reasonOf(error) };
  }
  if (!variables) return { text: "" };
  try {
    return { text: latest.template.render({ ...variables }) };
  } catch (error) {
    return { fault: "runtime", reason: reasonOf(error) };
  }
}

/** @param {unknown} error */
function reasonOf(error) {
  return error instanceof Error ? error.message : String(error);
}
