import type { Path } from './offsets.ts';

/** `sky`, `sky#2`, …: no suite can give a prompt such an id. */
export const sampleIds = (id: string, n = 1): string[] =>
  Array.from({ length: n }, (_, index) => (index === 0 ? id : `${id}#${index + 1}`));

type Setting = 'min_tokens' | 'max_tokens' | 'n' | 'temperature';
type Settings = { readonly [K in Setting]?: number | undefined };

interface Sampled {
  readonly sampling: Settings;
  readonly prompts: readonly { readonly sampling?: Settings | undefined }[];
}

/** Where an answer would have to be longer than it may be. */
export const neverLongEnough = (suite: Sampled): Generator<Path> =>
  contradicting(
    suite,
    ['min_tokens', 'max_tokens'],
    // Less than nothing is told as such.
    (least = 0, most = Number.POSITIVE_INFINITY) => least > Math.max(0, most),
  );

/** Where several answers are asked for and nothing is drawn. */
export const drawnAlike = (suite: Sampled): Generator<Path> =>
  contradicting(suite, ['n', 'temperature'], (n = 1, temperature = 0) => n > 1 && temperature === 0);

/** Where two settings contradict each other: for all prompts, or for one that sets either anew. */
function* contradicting(
  { sampling, prompts }: Sampled,
  [first, second]: readonly [Setting, Setting],
  wrong: (first?: number, second?: number) => boolean,
): Generator<Path> {
  if (wrong(sampling[first], sampling[second])) yield ['sampling', first];
  for (const [index, { sampling: own }] of prompts.entries()) {
    if (own?.[first] === undefined && own?.[second] === undefined) continue;
    if (wrong(own[first] ?? sampling[first], own[second] ?? sampling[second]))
      yield ['prompts', index, 'sampling', own[first] === undefined ? second : first];
  }
}
