import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Report } from '../../src/report/schema.ts';
import { junit } from '../../src/surfaces/junit.ts';
import { driftReport, legs, reproducedReport } from '../browser/support/samples.ts';
import { readJunit, type XmlElement } from '../support/xml.ts';
import { hostileReport } from '../unit/support/briefs.ts';
import {
  ACCEPTED,
  DRIFT,
  FAILURE,
  merged,
  TEXTS,
  UNHEALTHY,
  UNMEASURED,
  WARNED,
  WELL,
  written,
} from '../unit/support/documents.ts';
import { finding, relation } from '../unit/support/reports.ts';

/* JUnit's XML, as libxml reads it, held to the schema that Jenkins has of it. */

const LEGS = legs();

describe('JUnit', () => {
  /** Outcome of each test, by `class / name`. */
  function outcomes(root: XmlElement): Record<string, string> {
    const tests = root.children.flatMap(({ children }) => children.filter(({ name }) => name === 'testcase'));
    return Object.fromEntries(
      tests.map(({ attributes: { classname = '', name }, children }) => [
        `${classname.split('.').at(-1)} / ${name}`,
        children.map(({ name: outcome }) => outcome).join() || 'passed',
      ]),
    );
  }
  const one = async (report: Report) => {
    const [root] = await readJunit([await written(junit, 'report', report)]);
    assert.ok(root !== undefined);
    return root;
  };

  test('has a test for the verdict, and one for each relation and prompt', async () => {
    const root = await one(DRIFT);
    assert.deepEqual(outcomes(root), {
      'run / verdict': 'failure',
      'rerun / capital': 'passed',
      'rerun / sky': 'passed',
      'baseline / sky': 'failure',
      'baseline / capital': 'passed',
    });
    const { tests, failures, errors } = root.attributes;
    assert.deepEqual({ tests, failures, errors }, { tests: '5', failures: '2', errors: '0' });
    const [failed] =
      root.children[0]?.children.filter(({ children }) => children[0]?.name === 'failure').slice(1) ?? [];
    assert.equal(
      failed?.children[0]?.attributes['message'],
      'other tokens; tokens part at step 3; another text',
    );
    assert.equal(failed?.children[0]?.attributes['type'], 'tokens-differ');
  });

  test('fails where the policy does, and nowhere else', async () => {
    for (const [report, verdict, prompt] of [
      [DRIFT, 'failure', 'failure'],
      [WARNED, 'skipped', 'skipped'],
      [ACCEPTED, 'system-out', 'system-out'],
      [UNHEALTHY, 'error', 'skipped'],
      [WELL, 'system-out', 'passed'],
    ] as const) {
      const found = outcomes(await one(report));
      assert.deepEqual([found['run / verdict'], found['baseline / sky']], [verdict, prompt], report.verdict);
    }
  });

  test('skips what was not measured, with the reason', async () => {
    const root = await one(UNMEASURED);
    assert.deepEqual(outcomes(root), {
      'run / verdict': 'failure',
      'baseline / sky': 'passed',
      'batch / all prompts': 'skipped',
      'rerun / sky': 'skipped',
    });
    assert.match(JSON.stringify(root), /nothing ran beside it.*no pass/);
  });

  test('of an error has one test, which says its code and its remedy', async () => {
    const [root] = await readJunit([await written(junit, 'failure', FAILURE)]);
    assert.equal(root?.attributes['errors'], '1');
    const told = JSON.stringify(root);
    for (const part of ['suite-invalid: It has a problem.', 'Correct it.'])
      assert.ok(told.includes(part), told);
  });

  test('is what Jenkins’ schema takes, whatever a model prints, and of several reports too', async () => {
    const hostile = TEXTS.map((text) => hostileReport(DRIFT, text));
    const samples = [driftReport(), reproducedReport(), WELL, UNMEASURED];
    const texts = await Promise.all([
      ...[...hostile, ...samples].map((report) => written(junit, 'report', report)),
      written(junit, 'merged', merged(LEGS)),
      ...TEXTS.map((text) =>
        written(junit, 'failure', { ...FAILURE, error: { ...FAILURE.error, message: text, hint: text } }),
      ),
    ]);
    const roots = await readJunit(texts);
    assert.equal(roots.length, texts.length);
    const all = roots[TEXTS.length + samples.length];
    assert.equal(all?.children.length, LEGS.length);
    // Nothing of it became an element.
    const names = new Set<string>();
    const look = ({ name, children }: XmlElement) => {
      names.add(name);
      children.forEach(look);
    };
    roots.forEach(look);
    assert.deepEqual(
      [...names].filter(
        (name) => !/^(testsuites?|testcase|properties|property|failure|error|skipped|system-out)$/.test(name),
      ),
      [],
    );
  });

  test('of very many prompts keeps what fails', async () => {
    const findings = Array.from({ length: 12_000 }, (_, index) =>
      index < 11_990
        ? finding(`p${index}`, { agreement: 'identical', holds: true, divergence: null })
        : finding(`p${index}`),
    );
    const root = await one({ ...DRIFT, relations: [relation('baseline', 'broken', { findings })] });
    assert.deepEqual([root.attributes['tests'], root.attributes['failures']], ['10000', '11']);
    assert.match(JSON.stringify(root), /2001 tests left out here/);
  });
});
