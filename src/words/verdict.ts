/** How a verdict looks where a symbol stands for it. */
export const ICON = { pass: '✅', warn: '⚠️', fail: '❌' } as const;
