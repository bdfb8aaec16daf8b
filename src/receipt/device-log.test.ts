import { expect, test } from "vitest";
import type { Device } from "../runtime/backend.ts";
import { DeviceLog } from "./device-log.ts";

function logOf(places: Readonly<Record<string, Device>>): DeviceLog {
  const log = new DeviceLog();
  for (const [network, device] of Object.entries(places)) log.place(network, { device, reason: "" });
  return log;
}

test("names the devices of the networks that draw, and of no others", () => {
  const log = logOf({ "vision encoder": "cpu", "language model: trunk": "webgpu", "velocity 6 x 6": "wasm" });
  expect(log.since(log.mark(), "imagine")).toBe("wasm+webgpu");
  expect(log.since(log.mark(), "reconstruct")).toBe("wasm");
});

test("names the device that a network left while the image was drawn, and not in the next one", () => {
  const log = logOf({ "velocity 6 x 6": "wasm" });
  const first = log.mark();
  log.place("velocity 6 x 6", { device: "webgpu", reason: "measured" });
  expect(log.since(first, "imagine")).toBe("wasm+webgpu");
  expect(log.since(log.mark(), "imagine")).toBe("webgpu");
});
