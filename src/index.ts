// The public API in Node: import { Kelix } from "kelix". What a browser has too is in index.web.ts.

export { descriptorOf } from "./files/descriptor.ts";
export { type InputLimits, isStream, readInput } from "./files/input.ts";
export { type PullResult, pullModel } from "./hub/pull.ts";
export { type HubSettings, readHubSettings } from "./hub/settings.ts";
export { encodeImage, encodePng } from "./image/codec.node.ts";
export { loadImage } from "./image/image-source.node.ts";
export * from "./index.web.ts";
export { listModelFiles } from "./output/listing.ts";
export { type Output, type OutputOptions, openOutput } from "./output/output.ts";
export { formatOfName, writeImage, writePng } from "./output/write-image.ts";
export { type InspectedModel, inspectModel } from "./plan/inspect.ts";
export { examineMachine, type Machine, type ModelPlan, planModel, type TaskPlan } from "./plan/plan.ts";
