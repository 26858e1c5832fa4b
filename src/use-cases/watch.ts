import { Envelope, type Floor } from '../compare/envelope.ts';
import { compareSides } from '../compare/sides.ts';
import { some } from '../counted.ts';
import { userErrorIn } from '../errors.ts';
import type { Asks, CheckSettings, WatchSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { Answer } from '../report/answer.ts';
import type { WatchAnswer } from '../report/answers.ts';
import type { Report } from '../report/schema.ts';
import { answerOf } from '../words/answer.ts';
import { errorLines, toldError } from '../words/errors.ts';
import { read } from '../words/reading.ts';
import { type EngineOfRound, engineWords, marginWords } from '../words/watched.ts';
import { check } from './check.ts';

/** What a round came to: its report, or what ended it, and the few lines that are read while somebody edits. */
export interface Round {
  readonly answer: Answer;
  readonly told: { readonly report: Report } | { readonly error: unknown };
}

interface Before {
  readonly number: number;
  readonly record: OpenedRecord;
}

/** Characters of an error: whoever watches sees the rest in the log. */
const MAX_ERROR = 4000;

/**
 * Checks a suite, and again after each save of it or of what it names, until it is cancelled. The engine stays loaded from
 * one round to the next where it is asked nothing else than before but prompts. A round is one engine start at most: it is not
 * confirmed by more of them, nor bisected. What is wrong with a suite is told, and the next save waited for.
 *
 * @param tell a round, before the next save is waited for
 * @throws UserError `cancelled`; `suite-missing` where there is none at the beginning
 */
export async function watch(
  settings: CheckSettings & WatchSettings & Asks<'look'>,
  tools: Tools,
  tell: (round: Round) => Promise<void>,
): Promise<never> {
  const { console, open } = tools;
  await using kept = open.kept(settings.sources);
  await using files = open.watching([settings.recordPath]);
  let before: Before | undefined;
  let changed: readonly string[] = [];
  for (let number = 1; ; number += 1) {
    // Before any of them is read: what is saved from now on is another round.
    await files.at([...(await open.filesOf(settings.suite)), ...settings.sources]);
    await kept.begin(changed.filter((path) => settings.sources.includes(path)));
    const recordPath = `${settings.recordPath}/${number}`;
    const began = performance.now();
    try {
      const report = await check({ ...settings, recordPath }, { ...tools, kept });
      const seconds = (performance.now() - began) / 1000;
      const record = await tools.records.open(recordPath);
      await tell(await roundOf(report, record, seconds, number));
      before = { number, record };
      kept.before = record;
    } catch (error) {
      const known = userErrorIn(error);
      const isBeginning = number === 1 && known?.code === 'suite-missing';
      if (known === undefined || known.code === 'cancelled' || isBeginning) throw error;
      await tell({ answer: failed(error, number), told: { error } });
    }
    console.info('Waiting for the next save; Ctrl-C ends it.');
    changed = await files.changed();
    console.info(`Saved: ${namesOf(changed)}.`);
  }

  async function roundOf(
    report: Report,
    record: OpenedRecord,
    seconds: number,
    number: number,
  ): Promise<Round> {
    const baseline = read(report).baseline?.relation;
    const margin =
      baseline === undefined
        ? 'it is not asked for'
        : baseline.status === 'unmeasured' && baseline.findings.length === 0
          ? baseline.evidence
          : marginWords(baseline.findings, baseline.size);
    const since = before && (await sinceBefore(before.record, record, report));
    const first = report.work.starts?.[0]?.phases;
    const engine: EngineOfRound = {
      ...(kept.reused ?? { how: 'cold', why: undefined }),
      readySeconds: first === undefined ? null : first.open + first.import + first.load,
      seconds,
    };
    const value: WatchAnswer = {
      schema: 'deterministic-ml/watch/v1',
      ...{ round: number, changed: [...changed], verdict: report.verdict, conclusion: report.conclusion },
      ...{ baseline: margin, before: since ?? null, error: null },
      engine: { ...engine, why: engine.why ?? null },
      ...{ recordPath: report.context.recordPath, htmlPath: report.context.htmlPath },
    };
    const lines = [
      answerOf(report) || read(report).line,
      `Against the baseline: ${margin}`,
      ...(before === undefined ? [] : [`Against round ${before.number}: ${since}`]),
      engineWords(engine),
      `Page: ${report.context.htmlPath}`,
    ];
    return { answer: { verdict: report.verdict, lines, value }, told: { report } };
  }

  function failed(error: unknown, number: number): Answer {
    const told = toldError(error);
    const value: WatchAnswer = {
      schema: 'deterministic-ml/watch/v1',
      ...{ round: number, changed: [...changed], verdict: 'fail', conclusion: null },
      ...{ baseline: null, before: null, engine: null, recordPath: null, htmlPath: null },
      error: { code: told.code, message: told.message, hint: told.hint },
    };
    return { verdict: 'fail', lines: errorLines(told, MAX_ERROR), value };
  }

  /** With the baseline's floor: a check measures none of its own. */
  async function sinceBefore(older: Side, newer: Side, report: Report): Promise<string> {
    const { size, findings } = await compareSides(older, newer, 'measure');
    const floor = size === null ? null : await floorOf(report);
    const sized = size && {
      ...size,
      ...{ floorNats: floor?.nats ?? null, floorBy: floor?.by ?? null, batchingNats: null },
    };
    return marginWords(findings, sized);
  }

  async function floorOf({ context: { baseline, recordPath } }: Report): Promise<Floor | null> {
    if (baseline.kind !== 'found') return null;
    return await new Envelope(await tools.records.open(`${recordPath}.baseline`)).floor();
  }
}

/** Names that a line shows. */
const MAX_NAMED = 3;

function namesOf(paths: readonly string[]): string {
  return some(
    paths.map((path) => path.slice(path.lastIndexOf('/') + 1)),
    MAX_NAMED,
  );
}
