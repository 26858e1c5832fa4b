import type { ProbesCompared } from '../compare/probes.ts';
import { counted } from '../counted.ts';
import { engines } from '../engine/engines/index.ts';
import { countOf } from '../record/channels.ts';
import type { Observation, Pass, PassKind, RunRecord } from '../record/schema.ts';
import { observationsOf, passesOf } from '../record/select.ts';
import type { Sampling } from '../suite/schema.ts';
import type { Coverage } from './schema.ts';

/**
 * Which parts of the engine this run would have noticed a change in, by what the engine's own witnesses say. A part
 * that no pass went through is named too: a check that is blind there must not look as if it were not.
 */
export function coverage(record: RunRecord): Coverage[] {
  if (engineOf(record)?.probes !== undefined) return probed(record);
  // What such a function does within, nobody watches.
  if (record.fingerprint.declared.program !== undefined) return [calls(record)];
  return [
    prefill(record),
    decode(record),
    ...sampling(record),
    stop(record),
    batch(record),
    prefixCache(record),
    compiled(record),
    speculation(record),
    chunks(record),
    inputs(record),
    modules(record),
  ];
}

/** Single operators that were called before the model, and held against the baseline's. */
export function coverageOfProbes(probes: ProbesCompared | undefined): Coverage[] {
  if (probes === undefined) return [];
  const { compared, unmeasured } = probes;
  const what = 'probes';
  return [
    compared > 0
      ? yes(what, `${counted(compared, 'call')}${unmeasured === null ? '' : `; not ${unmeasured}`}`)
      : no(what, unmeasured ?? 'none was called'),
  ];
}

/** Operators are all that was called: of a model this says nothing. */
function probed(record: RunRecord): Coverage[] {
  const probes = record.suite.prompts.map(({ id }) => {
    const calls = largest(
      observationsOf(record, { kind: 'generate' })
        .filter(({ prompt }) => prompt === id)
        .map((one) => countOf(one, 'modules')),
    );
    return calls > 0 ? yes(id, `${counted(calls, 'call')} of it`) : no(id, missing(record, 'generate'));
  });
  return [...probes, no('a model', 'probes call single operators: no model was loaded'), batch(record)];
}

const yes = (what: string, by: string): Coverage => ({ what, exercised: true, by });
const no = (what: string, by: string): Coverage => ({ what, exercised: false, by });

const all = (record: RunRecord): Pass[] => passesOf(record, {}).map(({ pass }) => pass);

const stepsOf = (observations: readonly Observation[]) =>
  observations.reduce((sum, one) => sum + countOf(one, 'tokens'), 0);

/** Not by spreading: a large suite has more requests than a call may have arguments. */
const largest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, value), 0);

/** Why a kind of pass gave nothing. */
function missing(record: RunRecord, kind: PassKind): string {
  const passes = passesOf(record, { kind });
  const reason = passes.find(({ pass }) => pass.unavailable !== null)?.pass.unavailable;
  if (reason !== undefined && reason !== null) return `${kind} is unavailable: ${reason}`;
  return passes.length === 0 ? `no ${kind} pass` : `${kind} gave nothing`;
}

function calls(record: RunRecord): Coverage {
  const what = 'the function of the script';
  const most = largest(all(record).map(({ witness }) => witness.steps ?? 0));
  return most > 0 ? yes(what, `called ${counted(most, 'time')} in a pass`) : no(what, 'it was never called');
}

function prefill(record: RunRecord): Coverage {
  const positions = stepsOf(observationsOf(record, { kind: 'score' }));
  if (positions > 0) return yes('prefill', `score: ${positions} positions`);
  const vectors = observationsOf(record, { kind: 'score' }).filter(
    (one) => countOf(one, 'vector') > 0,
  ).length;
  if (vectors > 0) return yes('prefill', `score: ${counted(vectors, 'vector')}`);
  const generated = observationsOf(record, { kind: 'generate' });
  return generated.length > 0
    ? yes(
        'prefill',
        `generate: the last position of ${counted(generated.length, 'prefill')}; ${missing(record, 'score')}`,
      )
    : no('prefill', missing(record, 'score'));
}

/** The first token of a sequence comes out of its prefill. */
function decode(record: RunRecord): Coverage {
  const steps = (kind: PassKind) =>
    observationsOf(record, { kind }).reduce((sum, one) => sum + Math.max(0, countOf(one, 'tokens') - 1), 0);
  const found = (['force', 'generate'] as const)
    .map((kind) => ({ kind, count: steps(kind) }))
    .filter(({ count }) => count > 0);
  return found.length > 0
    ? yes('decode', found.map(({ kind, count }) => `${kind}: ${count} steps`).join(', '))
    : no('decode', `${missing(record, 'generate')}; ${missing(record, 'force')}`);
}

function sampling(record: RunRecord): Coverage[] {
  const ran = new Set(observationsOf(record, { kind: 'generate' }).map(({ prompt }) => prompt));
  const asked = record.suite.prompts
    .filter(({ id }) => ran.has(id))
    .flatMap(({ sampling }) => sampling ?? []);
  const line = (what: string, uses: (sampling: Sampling) => boolean): Coverage => {
    const count = asked.filter(uses).length;
    if (count > 0) return yes(what, `generate: ${counted(count, 'prompt')}`);
    return no(what, ran.size === 0 ? missing(record, 'generate') : 'no prompt uses it');
  };
  const drawn = ({ temperature }: Sampling) => temperature > 0;
  return [
    line('greedy sampling', (s) => !drawn(s)),
    // Greedy decoding takes the best token before any of these could change it.
    line('temperature', drawn),
    line('seed', drawn),
    line('top_p', (s) => drawn(s) && s.top_p < 1),
    line('top_k', (s) => drawn(s) && s.top_k > 0),
    line('min_p', (s) => drawn(s) && s.min_p > 0),
    line(
      'penalties',
      (s) => s.presence_penalty !== 0 || s.frequency_penalty !== 0 || s.repetition_penalty !== 1,
    ),
  ];
}

function stop(record: RunRecord): Coverage {
  const generated = observationsOf(record, { kind: 'generate' });
  const stopped = generated.filter(({ finishReason }) => finishReason === 'stop').length;
  if (stopped > 0) return yes('stop conditions', `generate: ${stopped} of ${generated.length} ended by one`);
  return no(
    'stop conditions',
    generated.length === 0 ? missing(record, 'generate') : 'every generation ran into its limit',
  );
}

function batch(record: RunRecord): Coverage {
  const seen = all(record).flatMap(({ witness }) => [
    witness.maxRunning ?? 0,
    ...(witness.requests ?? []).map(({ together }) => together),
  ]);
  const most = largest(seen);
  return most > 1
    ? yes('batching', `up to ${most} requests in a step`)
    : no('batching', 'never two requests in a step');
}

function prefixCache(record: RunRecord): Coverage {
  const cached = all(record).reduce((sum, { witness }) => sum + (witness.cachedTokens ?? 0), 0);
  return cached > 0
    ? yes('prefix cache', `${cached} tokens came from it`)
    : no('prefix cache', 'no token came from it');
}

const engineOf = ({ fingerprint }: Pick<RunRecord, 'fingerprint'>) =>
  engines.find(({ name }) => name === fingerprint.declared.engine.name);

/** What the engine's own file reads from the settings that its lifetimes were in force with. */
const factsOf = (record: Pick<RunRecord, 'fingerprint' | 'lifetimes'>) => {
  const engine = engineOf(record);
  return record.lifetimes.map(({ settings: { effective } }) => ({
    compiled: engine?.facts.compiled(effective),
    speculation: engine?.facts.speculation(effective),
  }));
};

/** Whether no start of the engine compiled anything; false where it does not tell. */
export const isEager = (record: Pick<RunRecord, 'fingerprint' | 'lifetimes'>) =>
  factsOf(record).every(({ compiled: told }) => told?.is === false);

function compiled(record: RunRecord): Coverage {
  const what = 'compiled and CUDA graphs';
  const told = factsOf(record).flatMap((facts) => facts.compiled ?? []);
  const found = told.find(({ is }) => is) ?? told[0];
  if (found === undefined) return no(what, 'the engine does not tell');
  return found.is ? yes(what, found.by) : no(what, found.by);
}

function speculation(record: RunRecord): Coverage {
  const [method] = factsOf(record).flatMap((facts) => facts.speculation ?? []);
  return method === undefined
    ? no('speculative decoding', 'none is configured')
    : yes('speculative decoding', method);
}

function chunks(record: RunRecord): Coverage {
  const watched = all(record).flatMap(({ witness }) => witness.requests ?? []);
  const cut = watched.filter((request) => request.chunks.length > 1).length;
  if (cut > 0) return yes('chunked prefill', `${counted(cut, 'request')} in two steps or more`);
  return no(
    'chunked prefill',
    watched.length > 0 ? 'every prompt was prefilled in one step' : 'the scheduler could not be watched',
  );
}

function inputs({ observations }: RunRecord): Coverage {
  const what = 'tokenizer and chat template';
  const prompts = new Set(observations.map(({ prompt }) => prompt)).size;
  return prompts > 0
    ? yes(what, `token ids of ${prompts} inputs; the template where a prompt has messages`)
    : no(what, 'nothing was tokenised');
}

function modules(record: RunRecord): Coverage {
  const most = largest(record.observations.map((one) => countOf(one, 'modules')));
  return most > 0
    ? yes('every module', `trace: ${most} modules, in the scored texts`)
    : no('every module', `the scored texts were not traced; ${missing(record, 'trace')}`);
}
