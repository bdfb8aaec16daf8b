/** A transfer from the Hub that failed. `canRetry`: the same request may succeed later, as after a cut connection or a busy server. */
export class HubError extends Error {
  override readonly name = "HubError";
  readonly canRetry: boolean;
  /** How long the server asks to be left alone. */
  readonly retryAfterMs: number;

  constructor(
    message: string,
    {
      canRetry = false,
      retryAfterMs = 0,
      ...options
    }: ErrorOptions & { canRetry?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.canRetry = canRetry;
    this.retryAfterMs = retryAfterMs;
  }
}
