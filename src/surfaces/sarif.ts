import { relationNamed } from '../compare/relations/index.ts';
import { excerpt } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { VERSION } from '../version.ts';
import { ERROR_WORDS } from '../words/error-words.ts';
import { plainWords } from '../words/plain-words.ts';
import { type Problem, problemsIn, problemsOf, problemsOfMerged, type Rule } from './problems.ts';
import type { Surface, TextDocument } from './surface.ts';

/**
 * SARIF 2.1.0, as GitHub's code scanning takes it: what does not pass, each at its line of the suite. Where all passes
 * there is nothing in it, so that what was there before counts as fixed.
 */
export const sarif: Surface = {
  name: 'SARIF',
  report: {
    document: (report) =>
      documentOf(`${report.suite.name}/${report.hardwareClass}`, () => problemsOf([report])),
  },
  merged: { document: (merged) => documentOf(matrixOf(merged.reports), () => problemsOfMerged(merged)) },
  failure: { document: (failure) => documentOf(failure.suite, () => problemsIn(failure), false) },
};

const matrixOf = (reports: readonly Report[]) =>
  `${[...new Set(reports.map(({ suite }) => suite.name))].join('+')}/matrix`;

/** @param about what later uploads about the same replace */
const documentOf = (about: string, problems: () => readonly Problem[], isWhole = true): TextDocument => ({
  name: 'sarif',
  text: () => `${JSON.stringify(log(about, problems(), isWhole))}\n`,
});

const MAX_ABOUT = 400;

function log(about: string, problems: readonly Problem[], executionSuccessful: boolean) {
  const rules = new Map<string, Rule>();
  for (const { rule } of problems) rules.set(idOf(rule), rule);
  const places = new Map([...rules.keys()].map((id, index) => [id, index]));
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            ...{ name: 'deterministic-ml', version: VERSION, semanticVersion: VERSION },
            rules: [...rules].map(([id, rule]) => ruleOf(id, rule)),
          },
        },
        automationDetails: { id: `deterministic-ml/${excerpt(about, MAX_ABOUT)}/` },
        invocations: [{ executionSuccessful }],
        columnKind: 'utf16CodeUnits',
        results: problems.map((problem) => resultOf(problem, places.get(idOf(problem.rule)) ?? -1)),
      },
    ],
  };
}

const idOf = ({ kind, name }: Rule) => `${kind}/${excerpt(name, 100)}`;

function ruleOf(id: string, rule: Rule) {
  const { short, full, help } = textsOf(rule);
  return {
    ...{ id, shortDescription: { text: short }, fullDescription: { text: full }, help: { text: help } },
    properties: { tags: ['determinism'], precision: 'very-high' },
  };
}

function textsOf(rule: Rule): { readonly short: string; readonly full: string; readonly help: string } {
  switch (rule.kind) {
    case 'relation': {
      const { what } = relationNamed(rule.name);
      const full = `The suite asks that ${what}.`;
      return {
        short: rule.name,
        full,
        help: `${full} docs/verdicts.md says how it is shown, and what breaks it.`,
      };
    }
    case 'conclusion': {
      const { title, meaning, next } = plainWords(rule.name);
      return { short: title, full: meaning, help: next };
    }
    case 'across-classes':
      return {
        short: 'across classes',
        full: 'Classes of hardware that compute other bits must be near each other, in multiples of what rounding alone makes.',
        help: 'docs/fleet.md says how that is measured, and what leaves it unmeasured.',
      };
    case 'error': {
      const { what, meaning, next } = ERROR_WORDS[rule.name];
      return { short: rule.name, full: what, help: `${meaning} ${next}` };
    }
  }
}

function resultOf({ rule, level, message, file, line, column, fingerprint }: Problem, ruleIndex: number) {
  const region = { startLine: line, startColumn: column };
  return {
    ...{ ruleId: idOf(rule), ruleIndex, level, message: { text: message } },
    locations: file === '' ? [] : [{ physicalLocation: { artifactLocation: { uri: uriOf(file) }, region } }],
    // The name by which GitHub knows a finding again, and would make of the line's text otherwise.
    partialFingerprints: { primaryLocationLineHash: `${fingerprint.slice(0, 16)}:1` },
  };
}

/** A path as a relative reference. */
const uriOf = (path: string) => path.toWellFormed().split('/').map(encodeURIComponent).join('/');
