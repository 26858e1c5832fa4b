import { channelOf, named } from '../../record/channels.ts';
import type { Observation } from '../../record/schema.ts';
import type { Side } from '../../record/side.ts';
import { PERMUTATIONS, permutationTest, rowsOf, type Sampled, type Samples, ways } from '../permutation.ts';
import type { Pair, Pairing, Relation } from '../types.ts';
import { find, type Seen } from './witness.ts';

/** Of honest runs, those that are called another model at most; docs/verdicts.md says under which condition. */
export const FALSE_ALARMS = 1 / 1000;

/**
 * Times that samples lie from their own mean. Where only the load was another, an honest server's means lay about three times
 * as far apart as without (llama.cpp's), and those of its smallest change of format 500 times (docs/evidence).
 */
const LITTLE = 5;

/** Channels of samples: of token ids, or of tokens that are known by their text alone. */
const CHANNELS = ['samples', 'samples-by-text'] as const;

/**
 * A shared server batches, and gives other bits each time: what it gave then and gives now are two samples, and a test says
 * whether one model can have given both.
 */
export const sameModel: Relation = {
  name: 'same-model',
  what: 'the log-probabilities that an endpoint gives a prompt again and again are a trusted record’s model’s, by a permutation test that is wrong in 1 of 1,000 honest runs at most',
  witness: 'as many samples as the test needs lie in both records',
  sides: ['in the baseline', 'now'],
  byDefault: false,
  decoding: true,
  breaks: { means: 'drift' },
  ofRefresh: 'never',
  requires: () => 'identical',
  needs: () => [{ kind: 'generate', arrangement: 'samples' }],
  lifetimes: 1,
  async pair(run: Side, trusted: Side | undefined): Promise<Pairing> {
    const now = samplesIn(run);
    if (now === undefined || now.observations.size === 0)
      return {
        kind: 'unmeasured',
        reason: now?.pass.unavailable ?? 'nothing was sampled: only an endpoint is',
      };
    if (trusted === undefined) return { kind: 'unmeasured', reason: 'there is no baseline to compare with' };
    const before = samplesIn(trusted);
    if (before === undefined || before.observations.size === 0)
      return { kind: 'unmeasured', reason: 'the baseline was made without samples: refresh it' };
    const asked: { readonly left: Observation; readonly right: Observation; readonly sampled: Sampled }[] =
      [];
    const pairs: Pair[] = [];
    for (const [prompt, right] of now.observations) {
      const base = { prompt, kind: 'generate' as const };
      const left = before.observations.get(prompt);
      if (left?.input !== right.input) {
        pairs.push({ ...base, only: 'added' });
        continue;
      }
      const sampled = await sampledOf(left, trusted, right, run);
      if (typeof sampled === 'string') pairs.push({ ...base, unmeasured: sampled });
      else asked.push({ left, right, sampled });
    }
    for (const prompt of before.observations.keys())
      if (!now.observations.has(prompt)) pairs.push({ prompt, kind: 'generate', only: 'removed' });
    const reason = pairs.flatMap((pair) => ('unmeasured' in pair ? [pair.unmeasured] : []))[0];
    if (asked.length === 0)
      return { kind: 'unmeasured', reason: reason ?? 'no prompt asks what the baseline asked' };
    const all = asked.map(({ sampled }) => sampled);
    if (ways(all) < 2 / FALSE_ALARMS)
      return {
        kind: 'unmeasured',
        reason: `${ways(all)} ways to part the samples tell no chance of ${FALSE_ALARMS}: ask for more \`samples\` or more prompts`,
      };
    const { p, nats, byPrompt, spread } = permutationTest(all, seedOf(asked));
    const agreement = p <= FALSE_ALARMS ? 'another-model' : 'indistinct';
    const little = agreement === 'another-model' && nats < LITTLE * spread;
    return {
      kind: 'exercised',
      evidence: `p = ${p} of ${PERMUTATIONS} permutations over ${asked.length} of ${now.observations.size} prompts, ${rowsOf(all[0]?.left ?? NONE)} samples then and ${rowsOf(all[0]?.right ?? NONE)} now: ${agreement === 'indistinct' ? 'no other model is seen' : 'another model'}, at a rate of ${FALSE_ALARMS} false alarms; the means are ${nats.toPrecision(3)} nats apart, and a sample lies ${spread.toPrecision(3)} from its own side’s${little ? ': so little another load on the server can make too, where the batches were others' : ''}`,
      pairs: [
        ...asked.map(
          ({ right: { prompt } }, at): Pair => ({
            ...{ prompt, kind: 'generate', agreement },
            reason: `its means are ${(byPrompt[at] ?? 0).toPrecision(3)} nats apart; the test looks at all prompts together`,
          }),
        ),
        ...pairs,
      ],
      left: trusted,
      right: run,
    };
  },
};

const NONE: Samples = { k: 0, ids: new Uint32Array(), nats: new Float32Array() };

const samplesIn = ({ record }: Side): Seen | undefined =>
  record.lifetimes.flatMap((lifetime) => find(record, lifetime, 'generate', 'samples') ?? [])[0];

/** Or why they cannot be compared. */
async function sampledOf(
  left: Observation,
  trusted: Side,
  right: Observation,
  run: Side,
): Promise<Sampled | string> {
  const name = CHANNELS.find(
    (one) => channelOf(left, one) !== undefined && channelOf(right, one) !== undefined,
  );
  if (name === undefined) return 'one side tells token ids, and the other the text of tokens alone';
  const nans = Math.max(channelOf(left, name)?.nans ?? 0, channelOf(right, name)?.nans ?? 0);
  if (nans > 0) return `${nans} log-probabilities are NaN: the model is broken`;
  const [a, b] = [
    named(await trusted.readBody(left.body), name),
    named(await run.readBody(right.body), name),
  ];
  return a?.kind === 'ranked' && b?.kind === 'ranked' && rowsOf(a) > 0 && rowsOf(b) > 0
    ? { left: a, right: b }
    : 'a side has no sample of it';
}

/** Of what is compared: whoever verifies draws the same permutations. */
const seedOf = (asked: readonly { readonly left: Observation; readonly right: Observation }[]) =>
  asked.reduce(
    (seed, { left, right }) =>
      (Math.imul(seed, 31) +
        Number.parseInt(left.body.slice(0, 8), 16) +
        Number.parseInt(right.body.slice(0, 8), 16)) >>>
      0,
    0,
  );
