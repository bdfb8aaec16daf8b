// The public API in Node: import { Kelix } from "kelix". What a browser has too is in index.web.ts.

export { listModelFiles } from "./files/listing.node.ts";
export { type PullResult, pullModel } from "./hub/pull.ts";
export { type HubSettings, readHubSettings } from "./hub/settings.ts";
export { encodeImage, encodePng, writeImage, writePng } from "./image/codec.node.ts";
export * from "./index.web.ts";
export { type InspectedModel, inspectModel } from "./plan/inspect.ts";
export { examineMachine, type Machine, type ModelPlan, planModel, type TaskPlan } from "./plan/plan.ts";
