// Names of keys in Redis.

/** BullMQ's own keys begin with both. */
export const PREFIX = "kelix";
export const QUEUE = "corpus";

/** What workers count; not one of BullMQ's keys. */
export const TOTALS = `${PREFIX}:${QUEUE}:totals`;
