/** What two sides can be held to beside a distance: in the words of relations. */
export const VARIANT_REQUIREMENTS = ['identical', 'tokens', 'measure'] as const;

/** At most so many times what rounding alone makes of a model. */
export const WITHIN = /^within ([0-9]{1,6}(?:\.[0-9]{1,3})?)x floor$/;

/** `within 2x floor` -> 2; undefined for what is no distance. */
export function floorsIn(required: string): number | undefined {
  const [, floors] = WITHIN.exec(required) ?? [];
  return floors === undefined ? undefined : Number(floors);
}
