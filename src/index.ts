// The public API in Node: import { Kelix } from "kelix". What a browser has too is in index.web.ts.

export { descriptorOf } from "./files/descriptor.ts";
export { type InputLimits, isStream, readInput } from "./files/input.ts";
export { listModelFiles } from "./files/listing.node.ts";
export { type Output, type OutputOptions, openOutput } from "./files/output.ts";
export { type PullResult, pullModel } from "./hub/pull.ts";
export { type HubSettings, readHubSettings } from "./hub/settings.ts";
export { encodeImage, encodePng, formatOfName, writeImage, writePng } from "./image/codec.node.ts";
export { loadImage } from "./image/image-source.node.ts";
export * from "./index.web.ts";
export { type InspectedModel, inspectModel } from "./plan/inspect.ts";
export { examineMachine, type Machine, type ModelPlan, planModel, type TaskPlan } from "./plan/plan.ts";
