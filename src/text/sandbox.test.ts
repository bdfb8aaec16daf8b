import { describe, expect, test } from "vitest";
import { renderTemplate } from "./render-template.js";
import { threadSandbox } from "./sandbox.node.ts";
import { steppedSandbox } from "./sandbox.web.ts";

const render = (source: string) => threadSandbox.render({ source, variables: { messages: [] } });

describe("a chat template without a thread of its own", () => {
  const render = (source: string) => steppedSandbox.render({ source, variables: { messages: [] } });

  test.each([
    "{% for i in range(3000) %}{% for j in range(3000) %}{% for k in range(3000) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in range(1000000000) %}{% endfor %}",
    "{% set ns = namespace(t='aa') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
  ])("is stopped: %s", (source) => {
    const result = render(source);
    expect(result === undefined || !("text" in result)).toBe(true);
    expect(render("{{ 1 + 1 }}")).toEqual({ text: "2" });
  });

  test("is stopped where macros call themselves, by its deadline or by the stack", () => {
    const source = "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}";
    const result = renderTemplate({ source, variables: { messages: [] } }, 100);
    expect(result === undefined || !("text" in result)).toBe(true);
  });
});

describe("a chat template", () => {
  test("is rendered as without the thread", () => {
    expect(render("{{ 1 + 1 }} {{ messages | length }}")).toEqual({ text: "2 0" });
  });

  test.each([
    [
      "never ends",
      "{% for i in range(3000) %}{% for j in range(3000) %}{% for k in range(3000) %}{% endfor %}{% endfor %}{% endfor %}",
    ],
    [
      "fills the memory",
      "{% set ns = namespace(l=[]) %}{% for i in range(60000) %}{% set ns.l = ns.l + [range(1000)] %}{% endfor %}",
    ],
  ])(
    "that %s is stopped, and the next one runs",
    (_, source) => {
      expect(render(source)).toBeUndefined();
      expect(render("still here")).toEqual({ text: "still here" });
      expect(process.memoryUsage().rss).toBeLessThan(1.5e9);
    },
    30_000,
  );

  const doubled = "{% set ns = namespace(s='abcd') %}{% for i in range(13) %}{% set ns.s = ns.s + ns.s %}{% endfor %}";

  test.each([
    ["a list of 1000000000 items", "{% for i in range(1000000000) %}{% endfor %}"],
    [
      "a list of 1048576 items",
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    ],
    [
      "8388608 characters",
      "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    ],
    ["a text of 32014336 characters", `${doubled}{{ ns.s | replace('a', ns.s) }}`],
    ["a text of 655360000 characters", `${doubled}{{ range(20000) | join(ns.s) }}`],
    ["a text of 400000000 characters", "{{ {'a': 1} | tojson(indent=400000000) }}"],
    ["a text of 400000000 characters", "{{ 'a' | indent(400000000) }}"],
  ])("that makes %s at once is stopped: the process would end", (reason, source) => {
    expect(render(source)).toMatchObject({ reason });
  });

  test.each([
    `{{ ${"(".repeat(60_000)}`,
    "{{ messages.constructor.constructor('return process')() }}",
    "{% include '/etc/hostname' %}",
  ])("%.40s has no way out", (source) => {
    expect(render(source)).toMatchObject({ reason: expect.any(String) });
  });
});
