/** Who keeps a list of packages; and `objects`, the shared objects that the engine's processes had loaded. */
export const PARTS = ['python', 'dpkg', 'rpm', 'apk', 'objects'] as const;
type Part = (typeof PARTS)[number];

/**
 * Everything that is installed where an engine ran, and what it really loaded: name -> version, or what tells an object
 * from another of its name. It chooses no baseline and decides nothing: it explains.
 */
export type Software = Readonly<Partial<Record<Part, Readonly<Record<string, string>>>>>;

/** What a part may hold: names and versions come from an image. */
export const SOFTWARE_LIMITS = { entries: 10_000, name: 256, version: 160 } as const;
