import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { CONCLUSIONS } from '../../../src/compare/conclusion.ts';
import { ERROR_CODES } from '../../../src/errors.ts';
import { markdown, visible } from '../../../src/inert.ts';
import type { Report } from '../../../src/report/schema.ts';
import { annotations } from '../../../src/surfaces/annotations.ts';
import { checkRunLadder } from '../../../src/surfaces/check-run.ts';
import { commentLadder } from '../../../src/surfaces/comment.ts';
import { htmlReport } from '../../../src/surfaces/html/drawn.ts';
import { escaped, markupOf, prose } from '../../../src/surfaces/html/escape.ts';
import { summary } from '../../../src/surfaces/summary.ts';
import { terminalLines } from '../../../src/surfaces/terminal.ts';
import { ERROR_WORDS } from '../../../src/words/error-words.ts';
import { errorLines, errorSummary } from '../../../src/words/errors.ts';
import { read } from '../../../src/words/reading.ts';
import { conclusionWords } from '../../../src/words/words.ts';
import { runnerCommands } from '../../e2e/support/commands.ts';
import { COMPILED } from '../../support/recipes.ts';
import { assertInert as assertInertBrief, RUN, WHENCE } from '../support/briefs.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body } from '../support/records.ts';
import { checkReport, finding, relation } from '../support/reports.ts';
import type { ToldAs } from '../support/told-errors.ts';

/*
 * Every error code and every conclusion, with hostile texts in all that may come from outside, through every surface:
 * nothing acts, and name and remedy are there.
 */

const CODES = [...ERROR_CODES, 'internal-error'] as const;
const DOCS = await readFile(new URL('../../../docs/troubleshooting.md', import.meta.url), 'utf8');

/** One line of printable characters. */
const UNCLEAN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** The document that a sentence names is a link in docs/. */
const linked = (text: string) => text.replaceAll(/docs\/([\w-]+\.md)/g, '[$1]($1)');

/** Markdown that is all our own is taken away; what is left must be text, whoever reads it. */
function assertInert(text: string, own: readonly (string | RegExp)[]): void {
  let rest = text.replaceAll('\n', ' ');
  for (const part of own) rest = rest.replaceAll(part, '');
  rest = rest.replaceAll(/&(?:#\d+|amp|lt|gt);/g, '');
  assert.doesNotMatch(rest, /[\\`*_{}[\]#+!|~^$@<>]|:\/\/|\bwww\./i);
  assert.doesNotMatch(rest, UNCLEAN);
}

function assertErrorSummary(text: string, code: (typeof CODES)[number], hostile: string): void {
  const { what, meaning, next } = ERROR_WORDS[code];
  for (const part of [`\`${code}\``, what, meaning, next]) assert.ok(text.includes(part), `${code}: ${part}`);
  for (const part of hostile.split('\n')) assert.ok(text.includes(markdown(part)), text);
  assertInert(text, [`\`${code}\``, what, meaning, next, '## ❌', '**Next:**', '<br>', /<\/?pre>/g]);
}

describe('an error', () => {
  for (const code of CODES)
    test(`${code}: has its name, its cause and its remedy, and nothing hostile acts`, () => {
      const { what, meaning, next } = ERROR_WORDS[code];
      for (const text of Object.values(HOSTILE)) {
        const told = { code, message: `${text}\n${text}`, hint: `${text}\nDo ${text}` };
        const lines = errorLines(told, 60_000);
        assert.ok(lines[0]?.startsWith(`${code}: `));
        assert.equal(lines.at(-1), `In general: ${what} ${meaning} ${next}`);
        assert.deepEqual(runnerCommands(lines.join('\n')), []);
        for (const line of lines) assert.doesNotMatch(line, UNCLEAN);
        for (const part of text.split('\n'))
          assert.ok(
            lines.some((line) => line.replaceAll('\\', '').includes(visible(part).replaceAll('\\', ''))),
          );
        assertErrorSummary(errorSummary(told), code, text);
      }
      const row = DOCS.split('\n').find((line) => line.startsWith(`| \`${code}\` |`));
      assert.equal(row, `| \`${code}\` | ${[what, meaning, next].map(linked).join(' | ')} |`);
    });
});

const program = fileURLToPath(new URL('../support/told-errors.ts', import.meta.url));
const publish = async (env: Readonly<Record<string, string>>) =>
  JSON.parse(
    (await execa(process.execPath, [program], { env: { ...COMPILED, ...env }, extendEnv: false })).stdout,
  ) as ToldAs[];

describe('an error of a job', () => {
  test('is told at its line, as the step’s failure and in the summary, and nothing hostile acts', async () => {
    const all = await publish({});
    assert.equal(all.length, CODES.length * Object.keys(HOSTILE).length);
    for (const { code, text, log, summary: shown, outputs } of all) {
      const commands = runnerCommands(log);
      const failure = commands.at(-1);
      assert.deepEqual(
        commands.map(({ command, properties }) => [command, properties['file']]),
        code === 'internal-error'
          ? [['error', undefined]]
          : [
              ['error', 'determinism.yml'],
              ['error', undefined],
            ],
        log,
      );
      assert.ok(failure?.data.startsWith(`${code}: `), log);
      assert.ok(failure?.data.includes(ERROR_WORDS[code].next), log);
      for (const { data } of commands) {
        assert.ok(data.length <= 4096, `${code}: ${data.length}`);
        assert.deepEqual(runnerCommands(data), []);
        for (const line of data.split('\n')) assert.doesNotMatch(line, UNCLEAN);
      }
      for (const line of log.split('\n')) assert.doesNotMatch(line, UNCLEAN);
      assert.match(outputs, new RegExp(`^error-code<<(\\S+)\\n${code}\\n\\1\\n$`));
      assertErrorSummary(shown, code, text);
    }
  });

  test('is told also where its summary cannot be written', async () => {
    for (const { code, log, summary: shown } of await publish({ GITHUB_STEP_SUMMARY: '/nowhere/at/all' })) {
      const [failure, notice] = runnerCommands(log).filter(({ properties }) => !('file' in properties));
      assert.ok(failure?.command === 'error' && failure.data.startsWith(`${code}: `), log);
      assert.match(`${notice?.command} ${notice?.data}`, /^notice The job summary could not be written/);
      assert.equal(shown, '');
    }
  });
});

const THREAD = { suite: 'smollm2-serving', hardwareClass: '*' } as const;
const BITS = { capital: body(), sky: body({ tokens: [20, 21, 22] }) };
const REPORT = await checkReport(BITS, BITS);

/** A report of that conclusion; the text is in all that a run takes from outside. */
function reportOf(conclusion: Report['conclusion'], text: string): Report {
  const broken = finding(text, { reason: text });
  return {
    ...REPORT,
    conclusion,
    verdict: conclusion === 'reproduced' ? 'pass' : 'fail',
    accepted: conclusion === 'drift' ? { record: 'ab'.repeat(32), reason: text } : null,
    relations: [
      relation('rerun', conclusion === 'unstable' ? 'broken' : 'held', { evidence: text }),
      relation('batch', conclusion === 'relation-broken' ? 'broken' : 'held', { evidence: text }),
      relation('baseline', conclusion === 'drift' ? 'broken' : 'unmeasured', {
        evidence: text,
        findings:
          conclusion === 'drift' ? [broken] : [finding('a', { agreement: 'unmeasured', holds: true })],
      }),
    ],
    changes: [{ half: 'ambient', field: text, before: text, after: text }],
    context: {
      ...REPORT.context,
      runtime: text,
      notices: [{ level: 'warning', title: text, message: text }],
      baseline: { kind: 'absent', explanation: [text] },
    },
  };
}

describe('a conclusion', () => {
  for (const conclusion of CONCLUSIONS)
    test(`${conclusion}: has its name and what to do, and nothing hostile acts`, () => {
      for (const text of Object.values(HOSTILE)) {
        const report = reportOf(conclusion, text);
        const { title, meaning, next } = conclusionWords(report);
        const lines = terminalLines(report);
        assert.ok(lines.includes(visible(read(report).line)));
        assert.ok(lines.some((line) => line === visible(`${meaning} ${next}`)));
        for (const line of lines) assert.doesNotMatch(line, UNCLEAN);
        const marked = annotations(report);
        if (report.verdict === 'fail')
          assert.ok(
            marked.some((annotation) => annotation.title.startsWith(title)),
            conclusion,
          );
        for (const { title: head, message } of marked) {
          assert.doesNotMatch(head, UNCLEAN);
          assert.doesNotMatch(message, UNCLEAN);
        }
        const shown = summary(report);
        assert.match(
          shown.split('\n')[0] ?? '',
          new RegExp(`^## (✅|❌) ${markdown(title).replace(/[()]/g, '.')}`),
        );
        assert.ok(shown.includes(next));
        const [comment = ''] = commentLadder([report], THREAD, RUN, WHENCE, undefined);
        const [run] = checkRunLadder([report], THREAD, RUN, WHENCE);
        for (const told of [comment, run?.output.summary ?? '']) {
          assert.ok(told.includes(markdown(title)) && told.includes(next), told);
          assertInertBrief(told.replace(/^<!-- .* -->\n/, ''));
        }
        assert.ok(run?.output.title.startsWith(title));
        const page = htmlReport([report]);
        assert.ok(page.includes(escaped(title)) && page.includes(markupOf(prose(next))), conclusion);
        assert.doesNotMatch(page, /<(?:script|img|iframe|object|form|a [^>]*javascript)/i);
      }
      const { title } = conclusionWords({ ...reportOf(conclusion, ''), accepted: null });
      assert.ok(DOCS.includes(`| \`${conclusion}\` | ${title} |`), conclusion);
    });
});
