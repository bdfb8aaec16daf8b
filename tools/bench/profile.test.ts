import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { f32 } from "../../src/runtime/host-tensor.ts";
import { openSession } from "../../src/runtime/session.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { formatProfile, profile, summarizeTrace } from "./profile.ts";

const event = (op_name: string, dur: number, shape: number[]) => ({
  cat: "Node",
  name: `${op_name}_1_kernel_time`,
  dur,
  args: { op_name, input_type_shape: [{ float: shape }] },
});

test("times are added up by operation and by shape, and divided by the runs", () => {
  const events = [
    event("Mul", 1000, [2]),
    event("Mul", 3000, [3]),
    event("Add", 4000, [2]),
    { cat: "Session", name: "model_run", dur: 9e9 },
  ];
  const { byOperation, byShape, msPerRun } = summarizeTrace(events, 2);
  expect(msPerRun).toBe(4);
  expect(byOperation).toEqual([
    { what: "Mul", nodesPerRun: 1, msPerRun: 2, share: 0.5 },
    { what: "Add", nodesPerRun: 0.5, msPerRun: 2, share: 0.5 },
  ]);
  expect(byShape.map(({ what }) => what)).toEqual(["Add [2]", "Mul [3]", "Mul [2]"]);
  expect(formatProfile({ byOperation, byShape, msPerRun })).toContain("50.0 %       2.00 ms      1  Mul");
});

test("a session's trace is read and removed", async () => {
  let prefix = "";
  const result = await profile(1, async (given) => {
    prefix = given;
    const graph = new Graph();
    graph.output("y", graph.input("x", [3]).exp());
    const session = await openSession(graph, { find: () => undefined }, { profile: prefix });
    await session.run({ x: f32([1, 2, 3], [3]) });
    await session.release();
  });
  expect(result.byOperation.map(({ what }) => what)).toContain("Exp");
  expect(existsSync(dirname(prefix))).toBe(false);
});

test("a failing run leaves no trace behind", async () => {
  let prefix = "";
  const failing = profile(1, async (given) => {
    prefix = given;
    await writeFile(`${given}.json`, "[]");
    throw new Error("out of memory");
  });
  await expect(failing).rejects.toThrow("out of memory");
  expect(existsSync(dirname(prefix))).toBe(false);
});
