import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { ERROR_CODES } from '../../../src/errors.ts';
import type { Report } from '../../../src/report/schema.ts';
import { codeQuality } from '../../../src/surfaces/code-quality.ts';
import { MAX_PROBLEMS } from '../../../src/surfaces/problems.ts';
import { sarif } from '../../../src/surfaces/sarif.ts';
import type { Kind, Results } from '../../../src/surfaces/surface.ts';
import { legs } from '../../browser/support/samples.ts';
import { hostileReport } from '../support/briefs.ts';
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
} from '../support/documents.ts';
import { finding, relation } from '../support/reports.ts';

/*
 * What is written for other programs: SARIF is held to its own schema, of GitLab's code quality there is prose alone.
 * JUnit is in test/contract/junit.test.ts.
 */

const schema = JSON.parse(
  await readFile(new URL('../../fixtures/sarif-2.1.0.json', import.meta.url), 'utf8'),
) as object;
const ajv = new Ajv({ allErrors: true, strict: false, unicodeRegExp: false });
formats.default(ajv);
const isSarif = ajv.compile(schema);

interface SarifLog {
  readonly runs: readonly {
    readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
    readonly automationDetails: { readonly id: string };
    readonly invocations: readonly { readonly executionSuccessful: boolean }[];
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly message: { readonly text: string };
      readonly locations: readonly {
        readonly physicalLocation: {
          readonly artifactLocation: { readonly uri: string };
          readonly region: { readonly startLine: number };
        };
      }[];
      readonly partialFingerprints: { readonly primaryLocationLineHash: string };
    }[];
  }[];
}

async function sarifOf<K extends Kind>(kind: K, value: Results[K]): Promise<SarifLog['runs'][number]> {
  const log: unknown = JSON.parse(await written(sarif, kind, value));
  assert.ok(isSarif(log), ajv.errorsText(isSarif.errors));
  const [run] = (log as SarifLog).runs;
  assert.ok(run !== undefined);
  for (const { ruleId, ruleIndex, message } of run.results) {
    assert.equal(run.tool.driver.rules[ruleIndex]?.id, ruleId);
    assert.ok(message.text.length <= 1000, `${message.text.length}`);
  }
  return run;
}

describe('SARIF', () => {
  test('has what does not pass on the suite’s own lines', async () => {
    const { results, automationDetails } = await sarifOf('report', DRIFT);
    assert.deepEqual(
      results.map(({ ruleId, level, locations: [at] }) => [
        ...[ruleId, level],
        ...[at?.physicalLocation.artifactLocation.uri, at?.physicalLocation.region.startLine],
      ]),
      [['relation/baseline', 'error', 'determinism.yml', 9]],
    );
    assert.match(
      results[0]?.message.text ?? '',
      /^Prompt sky on cpu-.*: other tokens; tokens part at step 3; /,
    );
    assert.equal(automationDetails.id, `deterministic-ml/suite/${DRIFT.hardwareClass}/`);
  });

  test('knows a finding again by its prompt and relation, and not by its line or its words', async () => {
    const hash = async (report: Report) =>
      (await sarifOf('report', report)).results.map((one) => one.partialFingerprints.primaryLocationLineHash);
    const { places } = DRIFT.context;
    const moved = places.prompts.map((place) => ({ ...place, line: place.line + 5 }));
    const later = { ...DRIFT, context: { ...DRIFT.context, places: { ...places, prompts: moved } } };
    assert.deepEqual(await hash(later), await hash(DRIFT));
    assert.notDeepEqual(await hash({ ...DRIFT, hardwareClass: 'gpu-h100' }), await hash(DRIFT));
  });

  test('is empty where the policy lets all pass, and quieter where it warns', async () => {
    for (const report of [WELL, ACCEPTED]) assert.deepEqual((await sarifOf('report', report)).results, []);
    const { results } = await sarifOf('report', WARNED);
    assert.deepEqual(
      results.map(({ level }) => level),
      ['warning'],
    );
  });

  test('says what the whole run comes to where no prompt broke anything, or none counts', async () => {
    for (const report of [UNMEASURED, UNHEALTHY])
      assert.deepEqual(
        (await sarifOf('report', report)).results.map(({ ruleId }) => ruleId),
        [`conclusion/${report.conclusion}`],
      );
  });

  test('of an error names its lines, and says that the run did not end well', async () => {
    const { results, invocations } = await sarifOf('failure', FAILURE);
    assert.deepEqual(invocations, [{ executionSuccessful: false }]);
    assert.deepEqual(results[0]?.locations[0]?.physicalLocation, {
      artifactLocation: { uri: 'a%20b/suite.yml' },
      region: { startLine: 3, startColumn: 5 },
    });
    for (const code of ERROR_CODES)
      await sarifOf('failure', { ...FAILURE, places: [], error: { ...FAILURE.error, code } });
  });

  test('is what its schema takes, whatever a model prints, and of several reports too', async () => {
    for (const text of TEXTS) {
      await sarifOf('report', hostileReport(DRIFT, text));
      await sarifOf('failure', {
        ...FAILURE,
        error: { ...FAILURE.error, message: text },
        suite: text,
        places: [],
      });
    }
    const { results } = await sarifOf('merged', merged(legs()));
    assert.ok(results.length > 1);
  });

  test('holds no more than GitHub shows, and counts the rest', async () => {
    const findings = Array.from({ length: MAX_PROBLEMS + 7 }, (_, index) => finding(`p${index}`));
    const { results } = await sarifOf('report', {
      ...DRIFT,
      relations: [relation('baseline', 'broken', { findings })],
    });
    assert.equal(results.length, MAX_PROBLEMS);
    assert.equal(results.at(-1)?.message.text, '8 more problems left out here: the report has all.');
  });
});

describe('GitLab’s code quality', () => {
  const issues = async <K extends Kind>(kind: K, value: Results[K]) =>
    JSON.parse(await written(codeQuality, kind, value)) as readonly {
      readonly description: string;
      readonly check_name: string;
      readonly fingerprint: string;
      readonly severity: string;
      readonly location: { readonly path: string; readonly lines: { readonly begin: number } };
    }[];

  test('is a list of what does not pass, each with what GitLab asks for', async () => {
    const [only, ...rest] = await issues('report', DRIFT);
    assert.deepEqual(rest, []);
    const { description, fingerprint, ...told } = only ?? {};
    assert.deepEqual(told, {
      check_name: 'relation/baseline',
      severity: 'critical',
      location: { path: 'determinism.yml', lines: { begin: 9 } },
    });
    assert.match(fingerprint ?? '', /^[0-9a-f]{64}$/);
    assert.match(description ?? '', /^Prompt sky on /);
    assert.deepEqual(await issues('report', ACCEPTED), []);
    assert.equal((await issues('report', WARNED))[0]?.severity, 'minor');
    assert.equal((await issues('failure', FAILURE))[0]?.severity, 'blocker');
  });

  test('has no fingerprint twice, and no character that acts', async () => {
    for (const text of TEXTS) {
      const found = await issues('report', hostileReport(DRIFT, text));
      assert.equal(new Set(found.map(({ fingerprint }) => fingerprint)).size, found.length);
      assert.doesNotMatch(JSON.stringify(found), /[\p{Cc}\p{Cf}\p{Cs}]/u);
    }
  });
});
