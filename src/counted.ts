/** `1 prompt`, `4 prompts`. */
export const counted = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** The first ones of a list, and how many more there are. */
export const some = (list: readonly string[], most = 10, between = ', ') =>
  `${list.slice(0, most).join(between)}${list.length > most ? ` and ${list.length - most} more` : ''}`;
