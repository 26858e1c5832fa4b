import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { loadSuite } from '../../../src/disk/suite-file.ts';
import { PROGRAMS, SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { temporaryFolder } from '../support/folder.ts';
import { rejectedBy, SAMPLE } from '../support/suites.ts';

/** A repository with a suite in a folder of its own, and a secret beside it. */
async function repository(files: Readonly<Record<string, string | Buffer>>, suite = SAMPLE) {
  const temporary = await temporaryFolder();
  const root = join(temporary.path, 'repository');
  const all = { 'ml/suite.yml': suite, '../secret.txt': 'secret', ...files };
  for (const [name, content] of Object.entries(all)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
  return {
    root,
    load: () => loadSuite('ml/suite.yml', root, SUITE_SCHEMA, PROGRAMS),
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  };
}

const HUB = /model: \{.*\}/;
const withModel = (path: string) => SAMPLE.replace(HUB, `model: { path: ${JSON.stringify(path)} }`);
const withPromptFile = (path: string) => SAMPLE.replace('prompts/essay.txt', JSON.stringify(path));

describe('a suite', () => {
  test('comes with the text of its prompt files, byte for byte', async () => {
    await using at = await repository({ 'ml/prompts/essay.txt': '\ufeffOnce \r\n upon\n\n' });
    const { suite, prompts, modelFolder, places } = await at.load();
    const { sampling } = suite;
    assert.deepEqual(prompts, [
      { id: 'capital', content: { text: 'The capital of France is' }, sampling },
      {
        id: 'sky',
        content: { messages: [{ role: 'user', content: 'Explain why the sky is blue.' }] },
        sampling,
      },
      { id: 'essay', content: { text: '\ufeffOnce \r\n upon\n\n' }, sampling },
    ]);
    assert.equal(modelFolder, undefined, 'its model is of the hub');
    assert.equal(places.file, 'ml/suite.yml');
  });

  test('may name a file elsewhere in the repository', async () => {
    await using at = await repository({ 'texts/essay.txt': 'Once' }, withPromptFile('../texts/essay.txt'));
    assert.deepEqual((await at.load()).prompts[2]?.content, { text: 'Once' });
  });

  for (const [name, path, place, lies] of [
    ['beside the suite', 'model', 'ml/model', 'inside'],
    ['that is not there yet', 'later', 'ml/later', 'inside'],
    ['outside of the repository', '../../models', '../models', 'outside'],
    ['behind a link in the repository', 'linked', 'ml/linked', 'behind-a-link'],
    ['inside, behind a link that stays there', 'near', 'ml/near', 'inside'],
  ] as const)
    test(`says where its model is: a folder ${name}`, async () => {
      await using at = await repository(
        { 'ml/prompts/essay.txt': 'Once', 'ml/model/config.json': '{}' },
        withModel(path),
      );
      await symlink('../..', join(at.root, 'ml/linked'));
      await symlink('model', join(at.root, 'ml/near'));
      assert.deepEqual((await at.load()).modelFolder, { path: join(at.root, place), lies });
    });

  test('comes with its texts, and with a prompt’s own sampling over the suite’s', async () => {
    const source = SAMPLE.replace('France is" }', 'France is", sampling: { seed: 7 } }').concat(
      'score: [{ id: prose, file: prompts/essay.txt }]\n',
    );
    await using at = await repository({ 'ml/prompts/essay.txt': 'Once' }, source);
    const { suite, prompts, texts } = await at.load();
    assert.deepEqual(prompts[0]?.sampling, { ...suite.sampling, seed: 7 });
    assert.deepEqual(texts, [{ id: 'prose', content: { text: 'Once' } }]);
  });

  test('leaves to the model what it does not say of sampling, where it is measured as it is served', async () => {
    const source = SAMPLE.replace('name: vllm,', 'name: vllm, defaults: as-served,').replace(
      'France is" }',
      'France is", sampling: { top_p: 0.5 } }',
    );
    await using at = await repository({ 'ml/prompts/essay.txt': 'Once' }, source);
    const [first, second] = (await at.load()).prompts;
    const said = ['temperature', 'max_tokens', 'seed'];
    const unsaid = Object.keys(second?.sampling ?? {}).filter((name) => !said.includes(name));
    assert.deepEqual(second?.unsaid, unsaid);
    assert.deepEqual(
      first?.unsaid,
      unsaid.filter((name) => name !== 'top_p'),
    );
    await using plain = await repository({ 'ml/prompts/essay.txt': 'Once' });
    assert.equal((await plain.load()).prompts[0]?.unsaid, undefined);
  });

  test('may link to a file elsewhere in the repository', async () => {
    await using at = await repository({ 'texts/essay.txt': 'Once' }, withPromptFile('link.txt'));
    await symlink('../texts/essay.txt', join(at.root, 'ml/link.txt'));
    assert.deepEqual((await at.load()).prompts[2]?.content, { text: 'Once' });
  });
});

describe('a suite that is not there is told with its path:', () => {
  test('no such file', async () => {
    await using at = await repository({});
    const error = await rejectedBy(loadSuite('ml/other.yml', at.root, SUITE_SCHEMA, PROGRAMS));
    assert.equal(error.code, 'suite-missing');
    assert.equal(error.message, 'The suite ml/other.yml does not exist.');
    assert.match(error.hint, /actions\/checkout/);
  });

  test('a folder', async () => {
    await using at = await repository({});
    const error = await rejectedBy(loadSuite('ml', at.root, SUITE_SCHEMA, PROGRAMS));
    assert.equal(error.code, 'suite-missing');
    assert.match(error.message, /The suite ml is not a file/);
  });

  test('an endless one is not read', async () => {
    await using at = await repository({ 'ml/big.yml': Buffer.alloc(2 ** 18 + 1, '#') });
    assert.match(
      (await rejectedBy(loadSuite('ml/big.yml', at.root, SUITE_SCHEMA, PROGRAMS))).message,
      /is larger than 262144 bytes/,
    );
  });

  test('a device is not read', async () => {
    await using at = await repository({});
    await symlink('/dev/zero', join(at.root, 'zero.yml'));
    const { message } = await rejectedBy(loadSuite('zero.yml', at.root, SUITE_SCHEMA, PROGRAMS));
    assert.match(message, /lies outside the repository/);
    await execa('mkfifo', [join(at.root, 'fifo.yml')]);
    const pipe = await rejectedBy(loadSuite('fifo.yml', at.root, SUITE_SCHEMA, PROGRAMS));
    assert.match(pipe.message, /is not a file/);
  });

  for (const [what, path] of [
    ['by its path', '../secret.txt'],
    ['by an absolute path', '/etc/hostname'],
    ['by a link', 'ml/link.yml'],
    ['by a link to a folder', 'ml/folder/secret.txt'],
    ['in git’s own folder', '.git/config'],
    ['in git’s own folder, by a link', 'ml/git.yml'],
    ['in git’s own folder of another case', 'sub/.GIT/config'],
  ] as const)
    test(`outside of the repository, ${what}: nothing of it is told`, async () => {
      await using at = await repository({ '.git/config': 'secret: x', 'sub/.GIT/config': 'secret: x' });
      await symlink('../../secret.txt', join(at.root, 'ml/link.yml'));
      await symlink('../..', join(at.root, 'ml/folder'));
      await symlink('../.git/config', join(at.root, 'ml/git.yml'));
      const error = await rejectedBy(loadSuite(path, at.root, SUITE_SCHEMA, PROGRAMS));
      assert.equal(error.code, 'suite-missing');
      assert.match(error.message, /lies (?:outside the repository|in `\.git`)/);
      assert.doesNotMatch(`${error.message.replace(path, '')}${error.hint}`, /secret/);
      assert.deepEqual(error.places, []);
    });

  test('whose model lies in git’s own folder', async () => {
    await using at = await repository(
      { 'ml/prompts/essay.txt': 'Once', '.git/config.json': '{}' },
      withModel('../.git'),
    );
    const error = await rejectedBy(at.load());
    assert.equal(error.code, 'suite-invalid');
    assert.match(error.message, /ml\/suite\.yml:3:1 {2}the model \.\.\/\.git lies in `\.git`/);
  });

  test('bytes that are no UTF-8', async () => {
    await using at = await repository({ 'ml/latin1.yml': Buffer.from('name: Gr\xfc\xdfe\n', 'latin1') });
    const error = await rejectedBy(loadSuite('ml/latin1.yml', at.root, SUITE_SCHEMA, PROGRAMS));
    assert.equal(error.code, 'suite-invalid');
    assert.match(error.message, /is not valid UTF-8/);
  });
});

describe('a prompt file is refused at its line of the suite:', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['missing', 'nowhere.txt', '`nowhere.txt` does not exist'],
    ['outside the repository', '../../secret.txt', '`../../secret.txt` lies outside the repository'],
    ['absolute', '/etc/hostname', '`/etc/hostname` does not exist'],
    ['of git’s own', '../.git/config', '`../.git/config` lies in `.git`'],
    ['a link into git’s own folder', 'git.txt', '`git.txt` lies in `.git`'],
    ['a link out of the repository', 'out.txt', '`out.txt` lies outside the repository'],
    [
      'through a linked folder out of the repository',
      'folder/secret.txt',
      '`folder/secret.txt` lies outside the repository',
    ],
    ['a link in a circle', 'circle.txt', '`circle.txt` cannot be read (ELOOP)'],
    ['a folder', 'prompts', '`prompts` is not a file'],
    ['no UTF-8', 'latin1.txt', '`latin1.txt` is not valid UTF-8'],
    ['too large', 'large.txt', '`large.txt` is larger than 4194304 bytes'],
    ['empty', 'empty.txt', '`empty.txt` is empty'],
    ['a pipe that never ends', 'fifo', '`fifo` is not a file'],
    ['with a NUL in its name', 'a\0b', 'a\0b'],
  ];
  for (const [name, path, message] of cases)
    test(name, { timeout: 10_000 }, async () => {
      await using at = await repository(
        {
          'ml/prompts/other.txt': 'x',
          'ml/latin1.txt': Buffer.from('Gr\xfc\xdfe', 'latin1'),
          'ml/large.txt': Buffer.alloc(4 * 1024 * 1024 + 1, 'x'),
          'ml/empty.txt': '',
          '.git/config': 'AUTHORIZATION: basic x',
        },
        withPromptFile(path),
      );
      await symlink('../../secret.txt', join(at.root, 'ml/out.txt'));
      await symlink('../..', join(at.root, 'ml/folder'));
      await symlink('../.git/config', join(at.root, 'ml/git.txt'));
      await symlink('circle.txt', join(at.root, 'ml/circle.txt'));
      if (path === 'fifo') await execa('mkfifo', [join(at.root, 'ml/fifo')]);
      const error = await rejectedBy(at.load());
      assert.equal(error.code, 'prompt-file-invalid');
      assert.deepEqual(
        error.places.map(({ file, line, column }) => `${file}:${line}:${column}`),
        ['ml/suite.yml:10:5'],
      );
      assert.ok(error.message.includes(message), error.message);
    });

  test('all of them at once', async () => {
    const suite = SAMPLE.replace('text: "The capital of France is"', 'file: one.txt').replace(
      'prompts/essay.txt',
      'two.txt',
    );
    await using at = await repository({}, suite);
    const { message } = await rejectedBy(at.load());
    assert.equal(
      message,
      'ml/suite.yml:8:5  `one.txt` does not exist\nml/suite.yml:10:5  `two.txt` does not exist',
    );
  });
});

describe('a script', () => {
  const suiteOf = (args: string) =>
    `apiVersion: deterministic-ml/v1\nname: step\nengine: { name: script, args: ${args} }\nprompts: [{ id: one, text: One }]\n`;

  test('comes with the files that it names, wherever in the repository they lie', async () => {
    await using at = await repository(
      { 'train/step.py': 'import util\r\n', 'train/util.py': 'X = 1\n', 'ml/data.json': '{}' },
      suiteOf('{ file: ../train/step.py, files: [../train/util.py, data.json, ../train/step.py] }'),
    );
    const { program, modelFolder, suite } = await at.load();
    assert.deepEqual(program, {
      file: 'train/step.py',
      files: [
        { path: 'train/step.py', text: 'import util\r\n' },
        { path: 'train/util.py', text: 'X = 1\n' },
        { path: 'ml/data.json', text: '{}' },
      ],
    });
    assert.deepEqual([modelFolder, suite.model], [undefined, {}]);
  });

  for (const [name, args, says] of [
    ['no file', '{}', /`engine\.args\.file` must name the file of Python/],
    ['a file of another kind', '{ file: step.sh }', /`engine\.args\.file` must name the file of Python/],
    ['a file that is not there', '{ file: step.py }', /`step\.py` does not exist/],
    ['a file outside', '{ file: ../../secret.py }', /`\.\.\/\.\.\/secret\.py` lies outside the repository/],
    ['a link that leads outside', '{ file: linked.py }', /`linked\.py` lies outside the repository/],
    ['files that are no list', '{ file: own.py, files: other.py }', /`engine\.args\.files` must be a list/],
    [
      'two files that are not there',
      '{ file: own.py, files: [a, b] }',
      /`a` does not exist; `b` does not exist/,
    ],
  ] as const)
    test(`with ${name} is refused at its line`, async () => {
      await using at = await repository({ 'ml/own.py': 'pass\n' }, suiteOf(args));
      await symlink('../../secret.txt', join(at.root, 'ml/linked.py'));
      const error = await rejectedBy(at.load());
      assert.equal(error.code, 'script-invalid');
      assert.match(error.message, says);
      assert.deepEqual([error.places[0]?.file, error.places[0]?.line], ['ml/suite.yml', 3]);
    });
});
