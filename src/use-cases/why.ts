import { CONCLUSIONS } from '../compare/conclusion.ts';
import { UserError } from '../errors.ts';
import type { WhySettings } from '../job/settings.ts';
import type { Answer } from '../report/answer.ts';
import type { Explained, WhyAnswer } from '../report/answers.ts';
import { didYouMean } from '../suite/nearest.ts';
import { ERROR_WORDS } from '../words/error-words.ts';
import { plainWords } from '../words/plain-words.ts';

/**
 * What docs/troubleshooting.md says of the code of an error, or of a conclusion; a line of each without one.
 *
 * @throws UserError `input-invalid` for a word that is no code
 */
export async function why({ code }: WhySettings): Promise<Answer> {
  const all = [...errors(), ...conclusions()];
  if (code === undefined)
    return answer(
      all,
      all.map((one) => `${one.code}: ${one.what}`),
    );
  const found = all.filter((one) => one.code === code);
  if (found.length === 0)
    throw new UserError(
      'input-invalid',
      `\`${code}\` is neither the code of an error nor a conclusion${
        didYouMean(
          code,
          all.map((one) => one.code),
        ) ?? '.'
      }`,
      `Known are ${all.map((one) => one.code).join(', ')}.`,
    );
  return answer(
    found,
    found.flatMap(({ code, of, what, meaning, next }) => [
      `${code} (${of === 'error' ? 'an error: no verdict' : 'a conclusion'})`,
      `What happened: ${what}`,
      `What it means: ${meaning}`,
      `What to do: ${next}`,
    ]),
  );
}

function answer(codes: Explained[], lines: readonly string[]): Answer {
  const value: WhyAnswer = { schema: 'deterministic-ml/why/v1', codes };
  return { verdict: 'pass', lines, value };
}

/** All that can be asked for. */
export const whyCodes = (): string[] => [...errors(), ...conclusions()].map(({ code }) => code);

const errors = (): Explained[] =>
  Object.entries(ERROR_WORDS).map(([code, words]) => ({ code, of: 'error', ...words }));

const conclusions = (): Explained[] =>
  CONCLUSIONS.map((code) => {
    const { title, meaning, next } = plainWords(code);
    return { code, of: 'conclusion', what: `${title}.`, meaning, next };
  });
