/** `1 prompt`, `4 prompts`. */
export const counted = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`;
