// Lists of names from files, as they may stand in a message.

/** Names in a message: more than these help nobody. */
const MAX_NAMES = 20;

/** Characters of one name in a message. */
const MAX_NAME = 120;

/** A list in words, cut after so many names, the rest as a count. */
export function shorten(names: readonly string[], most = MAX_NAMES): string {
  const shown = names.slice(0, most).map((name) => (name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name));
  return names.length > most ? `${shown.join(", ")} and ${names.length - most} more` : shown.join(", ");
}
