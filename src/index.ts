// The public API: import { Kelix } from "kelix".

export type {
  Chat,
  ChatEvent,
  ChatResult,
  EndEvent,
  FinishReason,
  ImageEvent,
  TextEvent,
  Usage,
} from "./chat/chat.ts";
export type { ChatMessage, WidenedMessage, WidenedPart } from "./chat/conversation.ts";
export type { TokenScore } from "./chat/score.ts";
export {
  type ErrorCode,
  FetchError,
  InputError,
  KelixError,
  MemoryError,
  ModelError,
} from "./errors.ts";
export type { PullProgress, PullWait } from "./hub/fetch-files.ts";
export { type PullResult, pullModel } from "./hub/pull.ts";
export { type HubSettings, readHubSettings } from "./hub/settings.ts";
export { encodeImage, encodePng, writeImage, writePng } from "./image/codec.node.ts";
export { DrawnImage, Image, type RgbaBytes } from "./image/image.ts";
export type { ImageFormat } from "./image/image-format.ts";
export type { ImageInput } from "./image/image-input.ts";
export type { MaskInput } from "./image/mask.ts";
export type { RawImage, RgbImage } from "./image/rgb.ts";
export { Kelix } from "./kelix.ts";
export type { ReadInput } from "./model/image-reader.ts";
export type { ModelInfo, PartInfo } from "./model/info.ts";
export type {
  ChatOptions,
  DescribeOptions,
  DrawOptions,
  EditOptions,
  EmbedOptions,
  ImagineOptions,
  InspectOptions,
  LoadOptions,
  Progress,
  PullOptions,
  ReconstructOptions,
  SampleOptions,
  ScoreOptions,
  TokenizeOptions,
  WorkOptions,
} from "./options.ts";
export { type InspectedModel, inspectModel } from "./plan/inspect.ts";
export { examineMachine, type Machine, type ModelPlan, planModel, type TaskPlan } from "./plan/plan.ts";
export type { Device } from "./runtime/backend.ts";
export type { ContentPart, Role } from "./text/chat-template.ts";
export { type CodeFields, type CodesInput, ImageCodes } from "./vision/image-codes.ts";
