/**
 * Texts of our own. Changing one changes what every run computes: baselines made before are then compared without it.
 */

const PARAGRAPH =
  'A lighthouse keeper writes down the weather every evening: the wind, the height of the waves, the ships that ' +
  'passed, and the birds that rested on the gallery before they went on. ';

/** Neighbours in a batch: a short one and a long one, about 8 and 250 tokens. */
export const STRANGERS: Readonly<Record<'short' | 'long', string>> = {
  short: 'Seven times eight is fifty',
  long: PARAGRAPH.repeat(6),
};
