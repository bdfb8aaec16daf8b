// The public API: import { Kelix } from "kelix".

export type { ChatMessage } from "./conversation.ts";
export {
  type ErrorCode,
  FetchError,
  InputError,
  KelixError,
  MemoryError,
  ModelError,
} from "./errors.ts";
export type { PullProgress, PullWait } from "./hub/fetch-files.ts";
export { type PullOptions, type PullResult, pullModel } from "./hub/pull.ts";
export { type HubSettings, readHubSettings } from "./hub/settings.ts";
export { encodePng, writePng } from "./image/codec.node.ts";
export type { ImageInput, Picture, RawImage } from "./image/picture.ts";
export { type ChatPiece, type DrawnPicture, Kelix } from "./kelix.ts";
export type { ModelInfo, PartInfo } from "./model-info.ts";
export type {
  ChatOptions,
  DrawOptions,
  ImagineOptions,
  LoadOptions,
  Progress,
  SampleOptions,
  WorkOptions,
} from "./options.ts";
export { type InspectedModel, inspectModel } from "./plan/inspect.ts";
export { examineMachine, type Machine, type ModelPlan, planModel, type TaskPlan } from "./plan/plan.ts";
export type { Device } from "./runtime/session.ts";
export type { ContentPart, Role } from "./text/chat-template.ts";
export type { ImageCodes } from "./vision/picture-tokenizer.ts";
