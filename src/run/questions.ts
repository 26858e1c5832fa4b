import { counted } from '../counted.ts';
import type { Plan, PlannedPass } from './plan.ts';
import { SAMPLED } from './requests.ts';

/** What a server is asked at most: it may be paid for, and limited. */
interface Questions {
  readonly requests: number;
  /** That it generates. */
  readonly tokens: number;
  /** Of the prompts and texts that are sent. */
  readonly characters: number;
}

const NONE: Questions = { requests: 0, tokens: 0, characters: 0 };

const sum = (all: readonly Questions[]): Questions =>
  all.reduce(
    (left, right) => ({
      requests: left.requests + right.requests,
      tokens: left.tokens + right.tokens,
      characters: left.characters + right.characters,
    }),
    NONE,
  );

/** Told before anything is asked. Undefined where the engine is this machine's own. */
export function questionsWords(plan: Plan): string | undefined {
  const { endpoint, lifetimes, confirm, passes, repeats, baseline } = plan;
  if (endpoint === undefined) return undefined;
  const round = ofPasses(plan, repeats);
  const all = sum([ofPasses(plan, passes), ...Array.from({ length: lifetimes - 1 }, () => round)]);
  const more =
    baseline && confirm > 0 && lifetimes === 1
      ? ` A difference from the baseline asks for ${counted(confirm, 'round')} more, of ${words(round)} each.`
      : '';
  return `${new URL(endpoint.url).host} is asked at most ${words(all)}, beside about ten short questions for what it can tell.${more} What that costs, and how fast it may go, the endpoint says; \`max_tokens\`, prompts and \`baseline.lifetimes\` lower it.`;
}

const words = ({ requests, tokens, characters }: Questions) =>
  `${counted(requests, 'request')} with ${counted(characters, 'character')} of prompts for ${counted(tokens, 'generated token')}`;

const ofPasses = (plan: Plan, passes: readonly PlannedPass[]) =>
  sum(passes.map((pass) => ofPass(plan, pass)));

const sizes = (all: readonly { readonly content: object }[]) =>
  all.reduce((characters, { content }) => characters + JSON.stringify(content).length, 0);

/** What cannot be measured of an endpoint is not asked. */
function ofPass({ prompts, texts, samples }: Plan, { kind, arrangement }: PlannedPass): Questions {
  if (arrangement === 'samples') {
    const asked = prompts.slice(0, SAMPLED);
    const count = samples * asked.length;
    return { requests: count, tokens: count, characters: samples * sizes(asked) };
  }
  if (arrangement !== 'alone') return NONE;
  switch (kind) {
    case 'generate':
      return {
        requests: prompts.length,
        tokens: prompts.reduce((tokens, { sampling }) => tokens + sampling.max_tokens, 0),
        characters: sizes(prompts),
      };
    case 'score':
      // A text is sent once more, for its tokens.
      return {
        requests: prompts.length + 2 * texts.length,
        tokens: prompts.length + 2 * texts.length,
        characters: sizes(prompts) + 2 * sizes(texts),
      };
    case 'force':
    case 'trace':
      return NONE;
  }
}
