import assert from 'node:assert/strict';
import type { Report } from '../../../src/report/schema.ts';
import { divergence, finding, PROVENANCE, relation } from './reports.ts';

export const RUN = {
  id: '77',
  attempt: '2',
  url: 'https://github.com/acme/models/actions/runs/77/attempts/2',
} as const;
export const HEAD = 'ab'.repeat(20);
export const WHENCE = { url: RUN.url, headSha: HEAD, isUnverified: false } as const;

/** A report that has a text in each place where one can come from outside. */
export function hostileReport(report: Report, text: string): Report {
  const side = { token: 1, text, marginNats: 0.5, marginSteps: 1, tie: 'near' as const, top: [] };
  const traced = {
    ...{ modules: 3, differing: 1, first: text, firstIndex: 0, onlyLeft: [text], onlyRight: [text] },
    map: { parts: [text], layers: [], omitted: 0 },
  };
  const prompt = {
    ...finding(text, { reason: text }),
    divergence: divergence({ fork: { left: side, right: side } }),
  };
  const trace = finding('trace', {
    ...{ kind: 'trace', agreement: 'modules-differ', divergence: null, textIdentical: null },
    ...{ trace: traced, reason: text },
  });
  return {
    ...report,
    hardwareClass: text,
    suite: { ...report.suite, name: text },
    relations: [
      relation('baseline', 'broken', {
        evidence: text,
        findings: [prompt, trace, finding('b', { reason: text })],
      }),
      relation('batch', 'unmeasured', { evidence: text }),
    ],
    changes: Array.from({ length: 7 }, () => ({
      half: 'declared' as const,
      field: text,
      before: text,
      after: text,
    })),
    context: {
      ...report.context,
      runtime: text,
      run: { ...report.context.run, ref: text, repository: text, workflow: text, url: text },
      notices: [{ level: 'warning', title: text, message: text }],
      places: { ...report.context.places, file: text },
      baseline: {
        kind: 'found',
        replaced: 3,
        proof: text,
        key: text,
        store: 'cache',
        provenance: { ...PROVENANCE, reason: text, actor: text, commit: text, runId: text },
      },
    },
  };
}

/** That report as each conclusion tells it. */
export function hostileReports(report: Report, text: string): readonly (readonly Report[])[] {
  const hostile = hostileReport(report, text);
  return [
    [hostile],
    [hostile, hostile, { ...hostile, verdict: 'pass' }],
    [{ ...hostile, verdict: 'pass', accepted: { record: hostile.outcome, reason: text } }],
    [{ ...hostile, conclusion: 'unmeasured' }],
    [{ ...hostile, context: { ...hostile.context, baseline: { kind: 'not-stored', reason: text } } }],
    [
      {
        ...hostile,
        conclusion: 'incomparable',
        context: {
          ...hostile.context,
          baseline: { kind: 'incomparable', otherClasses: [text], explanation: [text] },
        },
      },
    ],
    [{ ...hostile, relations: [], verdict: 'pass', conclusion: 'reproduced' }],
  ];
}

/**
 * A report whose ten prompts nearly fill a comment, since each `@` of theirs is a dozen characters there.
 *
 * @param plain how many characters more it has, up to 1500
 */
export function filledReport(report: Report, plain: number): Report {
  const findings = Array.from({ length: 10 }, (_, index) =>
    finding(`${index}${'@'.repeat(92)}`, {
      divergence: null,
      reason: '@'.repeat(425).concat('x'.repeat(Math.max(0, Math.min(150, plain - index * 150)))),
    }),
  );
  return { ...report, relations: [relation('baseline', 'broken', { findings })] };
}

/** Our own markup, taken away, leaves nothing that acts. */
export function assertInert(told: string): void {
  const rest = told
    .replace(/^<!-- [^\n]* -->\n/, '')
    .replaceAll(
      /\[(?:The run’s page|this run|run \d+)\]\(https:\/\/github\.com\/acme\/models\/actions\/[\w/]+\)/g,
      '',
    )
    .replaceAll('\n', ' ')
    .replaceAll(/&(?:#\d+|amp|lt|gt);/g, '')
    .replaceAll(/`[\w -]+`|`(?:gh workflow run|deterministic-ml bisect) [^`]*`|`nvidia-smi -q`/g, '')
    .replaceAll(
      /<\/?(?:code|sub)>|\*\*Next:\*\*|\*\*[a-z ]+\*\*|```(?:yaml|console) .*?```|> ⚠️ \*\*|\*\* |#{3,4} |\| --- |/g,
      '',
    );
  assert.doesNotMatch(rest, /[\\`*_{}[\]#+!~^$@<>]|:\/\/|\bwww\./i);
  assert.doesNotMatch(rest, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
}
