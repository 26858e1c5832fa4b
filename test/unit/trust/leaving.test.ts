import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { Openers } from '../../../src/job/tools.ts';
import type { LoadedSuite } from '../../../src/suite/loaded.ts';
import { loadRuled } from '../../../src/trust/judge.ts';
import { besideBase } from '../../../src/trust/leaving.ts';
import { ASKS, Job, SUITE, TIP } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

interface Way {
  readonly own: string;
  readonly base?: string;
  readonly event?: string;
  /** Of the checkout, and of the base branch. */
  readonly files?: Readonly<Record<string, string>>;
  readonly baseFiles?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly github?: Openers['github'];
}

/** What is measured of a change to a suite, and what the log says of it. */
async function measured(way: Way): Promise<LoadedSuite & { readonly lines: readonly string[] }> {
  const { own, base = SUITE, event = 'pull_request', path = 'suite.yml' } = way;
  const job = new Job();
  job.suite = own;
  for (const [name, text] of Object.entries(way.files ?? {})) job.files.set(name, text);
  for (const [name, text] of Object.entries({ ...way.baseFiles, [path]: base })) job.base.set(name, text);
  const tools = job.tools();
  const open = { ...tools.open, github: way.github ?? tools.open.github };
  const settings = job.settings(event, { base: 'refs/heads/main', suite: path });
  const ruled = await loadRuled({ ...settings, ...ASKS.check }, { ...tools, open });
  return { ...(await besideBase(ruled, { ...tools, open })), lines: job.lines };
}

/** `id` of each, with `!` where it leaves. */
const ids = ({ prompts, texts }: LoadedSuite) =>
  [...prompts, ...texts].map(({ id, leaving }) => (leaving ? `${id}!` : id)).sort();

const ALL = ['capital', 'prose', 'sky'];

describe('beside what a change asks', () => {
  test('nothing is measured where it asks all that its base asks', async () => {
    const more = SUITE.replace('prompts:\n', 'prompts:\n  - { id: first, text: "First" }\n');
    for (const own of [SUITE, more]) {
      const { lines, ...found } = await measured({ own });
      assert.deepEqual(ids(found), own === SUITE ? ALL : ['capital', 'first', 'prose', 'sky']);
      assert.deepEqual(lines, ['Suite of the base branch']);
    }
  });

  const SKY = '  - { id: sky, text: "The sky is" }\n';
  const variants: readonly [string, (suite: string) => string, readonly string[]][] = [
    ['a prompt that is removed', (suite) => suite.replace(SKY, ''), ['capital', 'prose', 'sky!']],
    [
      'another text under the same id',
      (suite) => suite.replace('The sky is', 'The sea is'),
      ['capital', 'prose', 'sky!', 'sky@change'],
    ],
    [
      'a prompt by another name',
      (suite) => suite.replace('id: sky', 'id: heaven'),
      ['capital', 'heaven', 'prose', 'sky!'],
    ],
    [
      'messages in place of a text',
      (suite) => suite.replace('text: "The sky is"', 'messages: [{ role: user, content: "The sky is" }]'),
      ['capital', 'prose', 'sky!', 'sky@change'],
    ],
    [
      'fewer tokens of one prompt',
      (suite) => suite.replace('"The sky is"', '"The sky is", sampling: { max_tokens: 1 }'),
      ['capital', 'prose', 'sky!', 'sky@change'],
    ],
    [
      'fewer tokens of all',
      (suite) => suite.replace('max_tokens: 4', 'max_tokens: 1'),
      ['capital!', 'capital@change', 'prose', 'sky!', 'sky@change'],
    ],
    [
      'a scored text that is removed',
      (suite) => suite.replace(/score:\n.*\n/, ''),
      ['capital', 'prose!', 'sky'],
    ],
    [
      'a scored text that becomes a prompt',
      (suite) =>
        suite
          .replace(/score:\n.*\n/, '')
          .replace('prompts:\n', 'prompts:\n  - { id: prose, text: "It was a dark and stormy night" }\n'),
      ['capital', 'prose!', 'prose@change', 'sky'],
    ],
    [
      'other prompts altogether',
      (suite) => suite.replace(/prompts:\n(.*\n)+?score:/, 'prompts: [{ id: a, text: A }]\nscore:'),
      ['a', 'capital!', 'prose', 'sky!'],
    ],
    [
      'prompts that swap their ids',
      (suite) =>
        suite.replace('id: sky', 'id: x').replace('id: capital', 'id: sky').replace('id: x', 'id: capital'),
      ['capital!', 'capital@change', 'prose', 'sky!', 'sky@change'],
    ],
  ];
  for (const [what, change, expected] of variants)
    test(`its base’s own is: ${what}`, async () => {
      const found = await measured({ own: change(SUITE) });
      assert.deepEqual(ids(found), expected);
      const left = found.prompts.find(({ id, leaving }) => id === 'sky' && leaving);
      if (left !== undefined)
        assert.deepEqual([left.content, left.sampling.max_tokens], [{ text: 'The sky is' }, 4]);
      assert.match(
        found.lines.at(-1) ?? '',
        /^This change takes away or alters \d prompts and texts of refs\/heads\/main/,
      );
    });

  for (const event of ['pull_request_review', 'merge_group'])
    test(`its base’s own is, on ${event} too`, async () =>
      assert.deepEqual(ids(await measured({ own: SUITE.replace(SKY, ''), event })), [
        'capital',
        'prose',
        'sky!',
      ]));

  test('it is told what that costs', async () => {
    const { lines } = await measured({ own: SUITE.replace(SKY, '').replace('The capital', 'A capital') });
    assert.equal(
      lines.at(-1),
      'This change takes away or alters 2 prompts and texts of refs/heads/main, or is behind it: capital, sky. They are measured too until it is merged: 4 prompts and texts instead of 2.',
    );
  });

  test('an annotation finds the line under either name', async () => {
    const { places } = await measured({ own: SUITE.replace('The sky is', 'The sea is') });
    assert.deepEqual(places.prompts.get('sky'), { line: 8, column: 5 });
    assert.deepEqual(places.prompts.get('sky@change'), { line: 8, column: 5 });
  });

  test('nothing is measured where the checkout’s own suite judges, and GitHub is not asked', async () => {
    const github = () => assert.fail('GitHub was asked');
    const found = await measured({ own: SUITE.replace(SKY, ''), event: 'push', github });
    assert.deepEqual(ids(found), ['capital', 'prose']);
  });
});

describe('a prompt that is a file', () => {
  const FILE = SUITE.replace('text: "The sky is"', 'file: ./texts/../texts/sky.txt');
  const PLACE = 'ci/texts/sky.txt';
  const of = (way: Partial<Way>) => measured({ own: FILE, base: FILE, path: 'ci/suite.yml', ...way });
  const checkout = (text: string) => ({ './texts/../texts/sky.txt': text });

  test('is read where the base branch has it, beside the suite', async () => {
    const same = await of({ files: checkout('Blue'), baseFiles: { [PLACE]: 'Blue' } });
    assert.deepEqual(ids(same), ALL);
    const other = await of({ files: checkout('Green'), baseFiles: { [PLACE]: 'Blue' } });
    assert.deepEqual(ids(other), ['capital', 'prose', 'sky!', 'sky@change']);
    assert.deepEqual(other.prompts.find(({ leaving }) => leaving)?.content, { text: 'Blue' });
  });

  test('and the same in a suite that has it as a text is no change', async () => {
    const own = SUITE.replace('The sky is', 'Blue');
    const found = await measured({ own, base: FILE, path: 'ci/suite.yml', baseFiles: { [PLACE]: 'Blue' } });
    assert.deepEqual(ids(found), ALL);
  });

  for (const [what, text] of [
    ['is not there', undefined],
    ['is empty', ''],
  ] as const)
    test(`and ${what} there is an error, also where the change no longer asks it`, async () => {
      for (const own of [FILE, SUITE.replace(/.*id: sky.*\n/, '')]) {
        const error = await rejectedBy(
          of({
            files: checkout('Blue'),
            ...(text === undefined ? {} : { baseFiles: { [PLACE]: text } }),
            own,
          }),
        );
        assert.equal(error.code, 'prompt-file-invalid');
        assert.match(error.message, new RegExp(`refs/heads/main .* at ${TIP} .*\n {2}sky: .*sky\\.txt\` is`));
      }
    });

  test('and lies outside of the repository is an error', async () => {
    const base = SUITE.replace('text: "The sky is"', 'file: ../../sky.txt');
    const error = await rejectedBy(measured({ own: SUITE, base, path: 'ci/suite.yml' }));
    assert.equal(error.code, 'prompt-file-invalid');
    assert.match(error.message, /sky: `\.\.\/\.\.\/sky\.txt` lies outside the repository/);
  });

  test('and is asked for once, however many prompts it is', async () => {
    const asked: string[] = [];
    const twice = FILE.replace('text: "The capital of France is"', 'file: texts/sky.txt');
    const github: Openers['github'] = () => ({
      tipOf: async () => TIP,
      pullRequestOf: async () => undefined,
      isRunOf: async () => ({ kind: 'no' }),
      isIn: async () => ({ kind: 'yes' }),
      fileAt: async (path) => {
        asked.push(path);
        return path === PLACE ? 'Blue' : twice;
      },
    });
    await measured({ own: SUITE, base: twice, path: 'ci/suite.yml', github });
    assert.deepEqual(asked, ['ci/suite.yml', PLACE]);
  });

  test('and GitHub does not answer for is GitHub’s error', async () => {
    const outage = new UserError('github-unavailable', 'GitHub did not answer.', '');
    const github: Openers['github'] = () => ({
      tipOf: async () => TIP,
      pullRequestOf: async () => undefined,
      isRunOf: async () => ({ kind: 'no' }),
      isIn: async () => ({ kind: 'yes' }),
      fileAt: async (path) => (path.endsWith('.yml') ? FILE : Promise.reject(outage)),
    });
    assert.equal(await rejectedBy(of({ github })), outage);
  });
});
