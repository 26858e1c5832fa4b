/**
 * Who keeps a list of packages; `objects`, the shared objects that the engine's processes had loaded; and `caches`, the files
 * of kept caches that it was given, by this machine's own word.
 */
export const PARTS = ['python', 'dpkg', 'rpm', 'apk', 'objects', 'caches'] as const;
type Part = (typeof PARTS)[number];
/** What an engine's own environment is asked for. */
export const TOLD_PARTS = PARTS.filter((part) => part !== 'caches');

/**
 * Everything that is installed where an engine ran, and what it really loaded: name -> version, or what tells an object
 * from another of its name. It chooses no baseline and decides nothing: it explains.
 */
export type Software = Readonly<Partial<Record<Part, Readonly<Record<string, string>>>>>;

/** What a part may hold: names and versions come from an image. */
export const SOFTWARE_LIMITS = { entries: 10_000, name: 256, version: 160 } as const;
