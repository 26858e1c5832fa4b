/** `1 prompt`, `4 prompts`. */
export const counted = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** The first ten of a list, and how many more there are. */
export const some = (list: readonly string[], between = ', ') =>
  `${list.slice(0, 10).join(between)}${list.length > 10 ? ` and ${list.length - 10} more` : ''}`;
