// The public API: import { Kelix } from "kelix".

export { CheckpointError } from "./checkpoint/checkpoint-error.ts";
export type { ChatMessage } from "./conversation.ts";
export type { PullProgress } from "./hub/fetch-files.ts";
export { HubError } from "./hub/hub-error.ts";
export { type PullOptions, type PullResult, pullModel } from "./hub/pull.ts";
export { type HubSettings, readHubSettings } from "./hub/settings.ts";
export { encodePng, writePng } from "./image/codec.node.ts";
export { ImageError, type ImageInput, type Picture, type RawImage } from "./image/picture.ts";
export { type ChatPiece, type DrawnPicture, Kelix } from "./kelix.ts";
export type { ModelInfo, PartInfo } from "./model-info.ts";
export {
  type ChatOptions,
  type DrawOptions,
  type ImagineOptions,
  type LoadOptions,
  OptionError,
  type Progress,
  type SampleOptions,
  type WorkOptions,
} from "./options.ts";
export { type InspectedModel, inspectModel } from "./plan/inspect.ts";
export { MemoryError } from "./plan/memory-check.ts";
export { examineMachine, type Machine, type ModelPlan, planModel, type TaskPlan } from "./plan/plan.ts";
export type { Device } from "./runtime/session.ts";
export type { ContentPart, Role } from "./text/chat-template.ts";
export type { ImageCodes } from "./vision/picture-tokenizer.ts";
