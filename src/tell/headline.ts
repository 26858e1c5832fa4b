import { answerLines } from '../surfaces/answer.ts';
import { logLines } from '../surfaces/history.ts';
import { powerLine, powerVerdict } from '../surfaces/power.ts';
import type { Headline, Kind, Results } from '../surfaces/surface.ts';
import { errorLines } from '../words/errors.ts';
import { mergedLine } from '../words/merged.ts';
import { read } from '../words/reading.ts';

/** Characters of what went wrong. */
const MAX_LINE = 500;

type Headlines = { readonly [K in Kind]: (value: Results[K]) => Headline };

const HEADLINES: Headlines = {
  report: (report) => ({ verdict: report.verdict, line: read(report).line }),
  // Nothing is stored yet, so there is no verdict.
  found: () => ({ verdict: 'pass', line: undefined }),
  merged: ({ verdict, reports, across }) => ({
    verdict,
    line: across?.verdict === 'fail' ? `${mergedLine(reports)}. ${across.line}` : mergedLine(reports),
  }),
  power: (power) => ({ verdict: powerVerdict(power), line: powerLine(power) }),
  // Whoever looks for a baseline and finds none must not read that all is well.
  history: (histories) =>
    histories.length === 0
      ? { verdict: 'fail', line: logLines(histories)[0] }
      : { verdict: 'pass', line: undefined },
  verification: ({ agrees, lines }) => ({ verdict: agrees ? 'pass' : 'fail', line: lines.at(-1) }),
  fingerprint: () => ({ verdict: 'pass', line: undefined }),
  // Records that are only explained are held to nothing.
  explained: ({ fleet, across }) => fleet ?? across ?? { verdict: 'pass', line: undefined },
  compared: (comparison) => ({ verdict: comparison.verdict, line: answerLines(comparison)[0] }),
  completion: () => ({ verdict: 'pass', line: undefined }),
  failure: ({ error }) => ({ verdict: 'fail', line: errorLines(error, MAX_LINE)[0] }),
  answer: (answer) => ({ verdict: answer.verdict, line: answerLines(answer).at(-1) }),
};

/** What a result comes to, in the words that all surfaces use. */
export const headlineOf = <K extends Kind>(kind: K, value: Results[K]): Headline => HEADLINES[kind](value);
