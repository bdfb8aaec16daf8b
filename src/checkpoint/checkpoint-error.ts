/** A checkpoint that is malformed, incomplete or not of this model: trying again does not help. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
}
