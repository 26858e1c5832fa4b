import { counted } from '../counted.ts';
import { xml } from '../inert.ts';
import type { Across } from '../report/across.ts';
import type { Report } from '../report/schema.ts';
import { answerOf } from '../words/answer.ts';
import { errorLines } from '../words/errors.ts';
import { isDifferent, kindWords } from '../words/groups.ts';
import { type ReadGroup, type ReadRelation, read } from '../words/reading.ts';
import { lineOf, promptsOf } from './problems.ts';
import type { Failure, Surface, TextDocument } from './surface.ts';

/**
 * JUnit's XML, as Jenkins, GitLab, Buildkite and others read it: of each report a test for its verdict, and one for
 * each relation and prompt. A run that passes has no test that fails, and one that fails has one at least.
 */
export const junit: Surface = {
  name: 'JUnit',
  report: { document: (report) => documentOf(() => [report]) },
  merged: { document: ({ reports, across }) => documentOf(() => reports, across) },
  failure: { document: (failure) => ({ name: 'junit', text: () => documentText([failureSuite(failure)]) }) },
};

const documentOf = (reports: () => readonly Report[], across?: Across): TextDocument => ({
  name: 'junit',
  text: () =>
    documentText(fitted([...reports().map(suiteOf), ...(across === undefined ? [] : [acrossSuite(across)])])),
});

/** GitLab reads 30 MB of one file: tests that say little are left out first. */
const MAX_TESTS = 10_000;
const MAX_NAME = 200;
const MAX_LINE = 300;
/** Characters of what ended a run. */
const MAX_ERROR = 10_000;
/** Lines of a prompt: one for each kind of pass. */
const MAX_LINES = 5;

interface TestSuite {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly seconds: number;
  readonly tests: readonly Test[];
  readonly leftOut: number;
}

interface Test {
  readonly className: string;
  readonly name: string;
  readonly outcome: 'passed' | 'failure' | 'error' | 'skipped';
  /** In a word. */
  readonly type: string;
  /** What it says of itself; empty where that is nothing. */
  readonly message: string;
  /** Lines. */
  readonly body: readonly string[];
}

function suiteOf(report: Report): TestSuite {
  const name = `${report.suite.name} on ${report.hardwareClass}`;
  const { relations } = read(report);
  return {
    name,
    properties: {
      conclusion: report.conclusion,
      verdict: report.verdict,
      'record-digest': report.outcome,
      'report-path': report.context.reportPath,
    },
    createdAt: report.createdAt,
    seconds: report.work.seconds,
    tests: [
      { className: `${name}.run`, ...verdictTest(report) },
      ...relations.flatMap((relation) =>
        testsOf(relation, report).map((test) => ({
          className: `${name}.${relation.relation.relation}`,
          ...test,
        })),
      ),
    ],
    leftOut: 0,
  };
}

/** What was required of classes of hardware among themselves. */
const acrossSuite = ({ status, line, pairs }: Across): TestSuite => ({
  ...{ name: 'across classes', properties: {}, createdAt: '', seconds: 0, leftOut: 0 },
  tests: [
    {
      className: 'across classes.run',
      name: 'verdict',
      outcome: status === 'held' ? 'passed' : 'failure',
      type: status,
      message: line,
      body: pairs.map(({ suite, what, status: own }) => `${suite}: ${own}: ${what}`),
    },
  ],
});

type Named = Omit<Test, 'className'>;

const SILENT = { type: '', message: '', body: [] } as const;

/** What the suite's policy makes of all of it. */
function verdictTest(report: Report): Named {
  const { conclusion, verdict, context } = report;
  const { line, words } = read(report);
  const body = [answerOf(report), words.meaning, words.next, `Report: ${context.reportPath}`];
  const told = { name: 'verdict', type: conclusion, message: line, body: body.filter((one) => one !== '') };
  switch (verdict) {
    case 'pass':
      return { ...told, outcome: 'passed' };
    case 'warn':
      return { ...told, outcome: 'skipped' };
    case 'fail':
      // Nothing was found of the engine.
      return { ...told, outcome: conclusion === 'unhealthy-gpu' ? 'error' : 'failure' };
  }
}

function testsOf(relation: ReadRelation, report: Report): Named[] {
  const { status, evidence } = relation.relation;
  if (relation.groups.length > 0) {
    const counting = new Set(read(report).drifted.map(({ prompt }) => prompt));
    return relation.groups.map((group) => promptTest({ ...relation, group }, report, counting));
  }
  const whole = { ...SILENT, name: 'all prompts', type: status, message: evidence };
  return [{ ...whole, outcome: status === 'unmeasured' ? 'skipped' : 'passed' }];
}

/** @param counting prompts that broke something and are not let off */
function promptTest(of: ReadGroup, report: Report, counting: ReadonlySet<string>): Named {
  const { group, frame } = of;
  const { prompt: name, worst } = group;
  const told = {
    name,
    type: worst.agreement,
    message: lineOf(of),
    body: kindWords(group, frame).slice(0, MAX_LINES),
  };
  if (group.findings.some(({ holds, agreement }) => !holds && agreement !== 'unmeasured')) {
    const loudness = counting.has(name) ? promptsOf(report) : 'none';
    switch (loudness) {
      case 'error':
        return { ...told, outcome: 'failure' };
      case 'warning':
        return { ...told, outcome: 'skipped' };
      case 'none':
        return { ...told, outcome: report.verdict === 'pass' ? 'passed' : 'skipped' };
    }
  }
  switch (worst.agreement) {
    case 'unmeasured':
    case 'added':
    case 'removed':
      return { ...told, outcome: 'skipped' };
    default:
      return isDifferent(worst) ? { ...told, outcome: 'passed' } : { ...SILENT, name, outcome: 'passed' };
  }
}

function failureSuite({ error, suite }: Failure): TestSuite {
  const [message = '', ...body] = errorLines(error, MAX_ERROR);
  return {
    ...{ name: 'deterministic-ml', properties: { suite }, createdAt: '', seconds: 0, leftOut: 0 },
    tests: [
      {
        className: 'deterministic-ml.run',
        name: 'verdict',
        outcome: 'error',
        type: error.code,
        message,
        body,
      },
    ],
  };
}

/** What fails is kept before what does not. */
function fitted(suites: readonly TestSuite[]): readonly TestSuite[] {
  let room = MAX_TESTS;
  const kept = new Set<Test>();
  for (const wanted of ['error', 'failure', 'skipped', 'passed'] as const)
    for (const { tests } of suites)
      for (const test of tests)
        if (test.outcome === wanted && room > 0) {
          kept.add(test);
          room--;
        }
  return suites.map((suite) => {
    const tests = suite.tests.filter((test) => kept.has(test));
    return { ...suite, tests, leftOut: suite.tests.length - tests.length };
  });
}

function documentText(suites: readonly TestSuite[]): string {
  const all = suites.flatMap(({ tests }) => tests);
  const seconds = suites.reduce((sum, suite) => sum + suite.seconds, 0);
  const { tests, failures, errors } = counts(all);
  return `${[
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'deterministic-ml', tests, failures, errors, time: seconds.toFixed(3) })}>`,
    ...suites.flatMap(suiteLines),
    '</testsuites>',
  ].join('\n')}\n`;
}

function suiteLines({ name, properties, createdAt, seconds, tests, leftOut }: TestSuite): string[] {
  const timestamp = createdAt === '' ? {} : { timestamp: createdAt };
  return [
    `  <testsuite${attributes({ name, ...counts(tests), time: seconds.toFixed(3), ...timestamp })}>`,
    '    <properties>',
    ...Object.entries(properties).map(
      ([key, value]) => `      <property${attributes({ name: key, value })}/>`,
    ),
    '    </properties>',
    ...tests.flatMap(testLines),
    ...(leftOut === 0
      ? []
      : [`    <system-out>${counted(leftOut, 'test')} left out here: the report has all.</system-out>`]),
    '  </testsuite>',
  ];
}

function testLines({ className: classname, name, outcome, type, message, body }: Test): string[] {
  const opening = `    <testcase${attributes({ classname, name, time: '0' })}`;
  const lines = body.map((line) => xml(line, MAX_LINE));
  if (outcome !== 'passed')
    return [
      `${opening}>`,
      `      <${outcome}${attributes({ type, message })}>${lines.join('\n')}</${outcome}>`,
      '    </testcase>',
    ];
  return message === ''
    ? [`${opening}/>`]
    : [
        `${opening}>`,
        `      <system-out>${[xml(message, MAX_LINE), ...lines].join('\n')}</system-out>`,
        '    </testcase>',
      ];
}

function counts(tests: readonly Test[]) {
  const of = (wanted: Test['outcome']) => String(tests.filter(({ outcome }) => outcome === wanted).length);
  return {
    tests: String(tests.length),
    failures: of('failure'),
    errors: of('error'),
    skipped: of('skipped'),
  };
}

const attributes = (all: Readonly<Record<string, string>>) =>
  Object.entries(all)
    .map(
      ([name, value]) =>
        ` ${name}="${xml(value, name === 'message' || name === 'value' ? MAX_LINE : MAX_NAME)}"`,
    )
    .join('');
