import { spawnSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { unpack } from '../../../src/baseline/archive.ts';
import { UnfitTree } from '../../../src/baseline/tree.ts';
import { readReport } from '../../../src/disk/report-file.ts';
import { utf8 } from '../../../src/disk/text-file.ts';
import type { Command, Start } from '../../../src/engine/protocol.ts';
import type { Exit } from '../../../src/engine/runtime.ts';
import { Session } from '../../../src/engine/session.ts';
import { UserError } from '../../../src/errors.ts';
import { casesOf } from '../../../src/explain/case-of-record.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { sources } from '../../../src/import/index.ts';
import { Problems } from '../../../src/import/problems.ts';
import { recordOf } from '../../../src/import/record.ts';
import { logLine, markdown, visible, xml } from '../../../src/inert.ts';
import { packBody, unpackBody } from '../../../src/record/body.ts';
import { describeChannel } from '../../../src/record/channels.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { packRecord, parseRecord } from '../../../src/record/parse.ts';
import type { RecordFile } from '../../../src/record/schema.ts';
import { lifetimeDigest, recordDigest } from '../../../src/record/tree.ts';
import { runPass } from '../../../src/run/pass.ts';
import { parseFleet } from '../../../src/suite/fleet.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { escaped } from '../../../src/surfaces/html/escape.ts';
import { resultOf, SEEN } from './engine.ts';
import { temporaryFolder } from './folder.ts';
import type { Surface } from './fuzz.ts';
import { healthReading } from './health.ts';
import { body, channelsOf, modules, side } from './records.ts';
import { checkReport } from './reports.ts';
import { SAMPLE } from './suites.ts';

const buffers = (...texts: readonly string[]) => texts.map((text) => Buffer.from(text));
const repository = new URL('../../../', import.meta.url).pathname;

/** All that reads what a stranger may have written. Disposing takes away what they write to. */
export async function surfacesToFuzz(): Promise<AsyncDisposable & { readonly all: readonly Surface[] }> {
  const folder = await temporaryFolder();
  return {
    all: [
      await suites(),
      prompts(),
      await fleets(),
      texts(),
      record(),
      passFile(),
      packedBody(),
      await report(folder.path),
      events(),
      await nvidiaSmi(),
      await imports(),
      archive(folder.path),
    ],
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

async function suites(): Promise<Surface> {
  const examples = (await readdir(join(repository, 'examples'))).filter((name) => name.endsWith('.yml'));
  const read = examples
    .filter((name) => name !== 'fleet.yml')
    .map((name) => readFile(join(repository, 'examples', name)));
  return {
    name: 'suite, as YAML',
    share: 100,
    seeds: [...buffers(SAMPLE), ...(await Promise.all(read))],
    take: (bytes) => parseSuite(bytes.toString(), 'determinism.yml', SUITE_SCHEMA),
  };
}

/** JSON is YAML too, and its values can be exchanged. */
function prompts(): Surface {
  const suite = (prompts: readonly object[], more: object = {}) =>
    JSON.stringify({
      apiVersion: 'deterministic-ml/v1',
      name: 'a',
      model: { path: 'model' },
      engine: { name: 'vllm', args: { dtype: 'bfloat16' } },
      sampling: { temperature: 0, max_tokens: 4 },
      prompts,
      ...more,
    });
  const tool = {
    type: 'function',
    function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  };
  return {
    name: 'prompts and conversations of a suite',
    share: 150,
    seeds: buffers(
      suite([{ id: 'a', text: 'The capital of France is' }], {
        accept: [{ record: 'a1'.repeat(32), reason: 'r' }],
      }),
      suite([{ id: 'b', messages: [{ role: 'user', content: 'Why?' }], tools: [tool] }]),
      suite([{ id: 'c', 'token-ids': [504, 3575], sampling: { temperature: 1, n: 2, seed: 1 } }], {
        relations: ['rerun', { name: 'batch', require: 'identical' }],
        variants: [{ name: 'x', args: { seed: 2 } }],
      }),
    ),
    take: (bytes) => parseSuite(bytes.toString(), 'determinism.yml', SUITE_SCHEMA),
  };
}

const fleets = async (): Promise<Surface> => ({
  name: 'fleet, as YAML',
  share: 200,
  seeds: [await readFile(join(repository, 'examples/fleet.yml'))],
  take: (bytes) => parseFleet(bytes.toString(), 'fleet.yml'),
});

/** What a prompt's file, a model or a library says, on its way to log, summary, JUnit and page. */
const texts = (): Surface => ({
  name: 'text that is shown',
  share: 2600,
  seeds: buffers(
    'plain text, Grüße, 世界, 🌍',
    '::error file=a,line=1::x\r##[error]y\u001b[31m @octocat #1 <b>&amp;</b> | `c` [a](https://b)',
    '</details><!-- deterministic-ml v1 suite=a --> $(id) %0A \u202e \u2028',
  ),
  take(bytes) {
    const text = utf8(bytes) ?? bytes.toString('latin1');
    const shown = {
      visible: visible(text),
      log: logLine(text),
      markdown: markdown(text),
      xml: xml(text),
      html: escaped(text),
    };
    for (const [how, one] of Object.entries(shown))
      if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(one)) throw new Error(`${how} has a character that acts: ${one}`);
    if (/^\s*::|##\[/.test(shown.log)) throw new Error(`is a command: ${shown.log}`);
    for (const one of [shown.xml, shown.html]) if (/[<>]/.test(one)) throw new Error(`is markup: ${one}`);
    if (/(?<!\\)<(?!wbr>)|(?<![\\\w])@\w|https?:\/\//.test(shown.markdown))
      throw new Error(`is markup: ${shown.markdown}`);
  },
});

const bits = (token: number) => ({
  ...body({ tokens: [token, 7], text: 'a' }),
  modules: modules({ embed: 'a', norm: 'b' }),
});
const aSide = () =>
  side({ passes: { 'generate-alone': { a: bits(5), b: bits(6) }, 'score-alone': { a: bits(5) } } });

function record(): Surface {
  const { text, passes, software } = packRecord(aSide().record);
  const files = new Map([...passes, ...software].map((bytes) => [sha256(bytes), bytes]));
  return {
    name: 'record.json',
    share: 1600,
    seeds: buffers(text, JSON.stringify(JSON.parse(text))),
    take: (bytes) =>
      parseRecord(bytes.toString(), 'record.json', (digest) => files.get(digest) ?? missing(digest)),
  };
}

/** Its digest and those above are counted anew, as somebody does who knows the format. */
function passFile(): Surface {
  const { text, passes, software } = packRecord(aSide().record);
  const files = new Map([...passes, ...software].map((bytes) => [sha256(bytes), bytes]));
  return {
    name: 'file of a pass, digests counted anew',
    share: 1000,
    seeds: passes.slice(0, 1),
    take(bytes) {
      const head = JSON.parse(text) as RecordFile;
      const [lifetime] = head.lifetimes;
      const [first] = lifetime?.passes ?? [];
      if (lifetime === undefined || first === undefined) throw new Error('the sample has no pass');
      first.digest = sha256(bytes);
      lifetime.digest = lifetimeDigest(lifetime.passes);
      head.digest = recordDigest(head.lifetimes);
      const given = new Map([...files, [first.digest, bytes]]);
      return parseRecord(
        JSON.stringify(head),
        'record.json',
        (digest) => given.get(digest) ?? missing(digest),
      );
    },
  };
}

function missing(digest: string): never {
  throw new UserError('record-invalid', `There is no ${digest}.`, 'Make the record again.');
}

const packedBody = (): Surface => ({
  name: 'packed body',
  share: 2400,
  seeds: [packBody(channelsOf(bits(5))), packBody(channelsOf(bits(5), 'score'))],
  take: (bytes) => unpackBody(bytes, 'body').map(describeChannel),
});

async function report(folder: string): Promise<Surface> {
  const told = await checkReport({ a: bits(5) }, { a: bits(6) });
  const path = join(folder, 'fuzz.report.json');
  return {
    name: 'report, for `mode: report`',
    share: 100,
    seeds: buffers(JSON.stringify(told)),
    async take(bytes) {
      await writeFile(path, bytes);
      // As many values as a stranger's report may have.
      await readReport(path, 100_000);
    },
  };
}

const NONCE = '0123456789abcdef'.repeat(2);

/** All that a harness says in a lifetime, read as a run reads it. */
function events(): Surface {
  const command: Extract<Command, { command: 'pass' }> = {
    ...{
      command: 'pass',
      pass: 'generate-alone',
      kind: 'generate',
      groups: [['a']],
      warm: false,
      trace: true,
    },
    ...{ noise: null, samples: null, topK: 2, clock: 0 },
    requests: [
      {
        ...{ id: 'a', input: { text: 'x' }, tokens: null, observed: true, limit: null },
        sampling: { temperature: 0, max_tokens: 4 } as Extract<
          Command,
          { command: 'pass' }
        >['requests'][number]['sampling'],
      },
    ],
  };
  const [asked] = command.requests;
  if (asked === undefined) throw new Error('nothing is asked');
  const witness = {
    process: '1@1',
    steps: 4,
    generatedTokens: 4,
    promptTokens: 3,
    maxRunning: 1,
    cachedTokens: 0,
    preemptions: 0,
  };
  const requests = [{ id: 'a', order: 0, together: 1, chunks: [3], decodeSteps: 3, cachedTokens: 0 }];
  const said = [
    { event: 'hello', protocol: 2, pid: 7, python: '3.11' },
    { event: 'fingerprint', fingerprint: SEEN, health: healthReading('before') },
    {
      ...{ event: 'lifetime', seconds: 1, perturbed: null },
      settings: { requested: { dtype: 'bfloat16' }, dropped: [], effective: { dtype: 'bfloat16' } },
      software: { python: { torch: '2.11.0' } },
    },
    { event: 'progress', what: 'generate-alone', done: 0, total: 1, tokens: 2 },
    resultOf(command, asked, {}),
    {
      event: 'pass',
      pass: 'generate-alone',
      seconds: 1,
      unavailable: null,
      witness: { ...witness, requests },
      sampling: {},
    },
    { event: 'vocabulary', texts: { 5: 'a' } },
    { event: 'done', health: healthReading('after') },
  ].map((event, seq) => JSON.stringify({ nonce: NONCE, seq, ...event }));
  const seeds = buffers(
    `${said.join('\n')}\n`,
    `noise\n${said.slice(0, 4).join('\n')}\nTraceback\n${said.slice(4).join('\n')}\n`,
  );
  return {
    name: 'events of a harness',
    share: 600,
    seeds,
    async take(bytes) {
      const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
      const exit = Promise.resolve<Exit>({ code: 0, signal: null, outOfMemory: false });
      const peer = { stdin, stdout, stderr, exit, [Symbol.asyncDispose]: async () => {} };
      stderr.end();
      stdin.once('data', (frame: Buffer) => {
        const { nonce } = JSON.parse(frame.subarray(frame.indexOf(10) + 1).toString()) as Start;
        stdin.resume();
        stdout.end(bytes.toString('latin1').replaceAll(NONCE, nonce), 'latin1');
      });
      const place = { file: 'suite.yml', line: 1, column: 1 };
      await using session = await Session.open(
        {
          harness: { boot: '', files: {} },
          start: async () => peer,
          inactivitySeconds: 30,
          deadlineSeconds: 30,
          signal: NEVER.signal,
          onOutput: () => {},
          onProgress: () => {},
          placeOf: () => place,
          enginePlace: place,
        },
        { engine: 'vllm', model: '/model', knownDigests: {} },
        {},
      );
      const lifetime = [await session.expect('fingerprint'), await session.expect('lifetime')];
      const inputs = new Map([['a', 'f'.repeat(64)]]);
      const ready = { lifetime: 'lifetime-1', arrangement: 'alone', command, inputs } as const;
      const measured = await runPass(session, ready, async (channels) => sha256(packBody(channels)));
      // What is kept must be JSON again.
      JSON.stringify([lifetime, measured, await session.expect('vocabulary'), await session.expect('done')]);
    },
  };
}

const NEVER = new AbortController();

async function nvidiaSmi(): Promise<Surface> {
  const folder = join(repository, 'test/fixtures/health');
  const seeds = await Promise.all(['h100.xml', 'h200.xml'].map((name) => readFile(join(folder, name))));
  return {
    name: 'nvidia-smi -q -x, imported',
    share: 500,
    seeds,
    take: (bytes) => imported({ 'a.xml': bytes }),
  };
}

/** The first line names the file. */
async function imports(): Promise<Surface> {
  const chat = {
    ...{ object: 'chat.completion', model: 'm', created: 1_700_000_000, prompt_token_ids: [1, 2] },
    choices: [
      {
        ...{
          index: 0,
          finish_reason: 'stop',
          message: { role: 'assistant', content: 'blue' },
          token_ids: [17],
        },
        logprobs: { content: [{ token: 'a', logprob: -0.5, top_logprobs: [] }] },
      },
    ],
  };
  const sample = { doc_id: 0, arguments: [['q', {}]], resps: [[['-1.5', 'True']]], doc_hash: 'a' };
  const environment =
    'Collecting environment information...\nPyTorch version : 2.7.0+cu126\nGPU 0: NVIDIA H100\n[pip3] numpy==2.2.5\n';
  const left = join(repository, 'test/fixtures/predecessor/vllm_phi35/2024-08-28_10-03-04_1x_rtx_3090');
  const beside = Object.fromEntries(
    await Promise.all(
      ['experiment.yaml', 'output.yaml', 'sysinfo.yaml'].map(
        async (name) => [name, await readFile(join(left, name))] as const,
      ),
    ),
  );
  const told = {
    'a.json': JSON.stringify(chat),
    'a.jsonl': `${JSON.stringify({ custom_id: 'sky', response: { status_code: 200, body: chat } })}\n`,
    'samples_x_1.jsonl': `${JSON.stringify(sample)}\n`,
    'env.txt': environment,
    ...beside,
  };
  return {
    name: 'results of other programs, imported',
    share: 350,
    seeds: Object.entries(told).map(([name, text]) =>
      Buffer.concat([Buffer.from(`${name}\n`), Buffer.from(text)]),
    ),
    take(bytes) {
      const end = bytes.indexOf(10);
      const name = bytes.subarray(0, Math.max(0, end)).toString();
      const file = name in told ? name : 'a.json';
      return imported({ ...(file in beside && beside), [file]: bytes.subarray(end + 1) });
    },
  };
}

async function imported(files: Readonly<Record<string, Buffer>>): Promise<void> {
  const problems = new Problems();
  for (const { take } of sources) {
    const text = async (name: string) => utf8(files[name] ?? Buffer.alloc(0));
    const { runs } = await take({ path: 'x', files: Object.keys(files), text }, problems);
    if (!problems.any) for (const run of runs) casesOf(recordOf(run), 'a');
  }
  problems.refuse();
}

/** An entry of the cache, unpacked into a folder that is emptied each time. */
function archive(folder: string): Surface {
  const prefix = '.deterministic-ml/baseline';
  const script = `mkdir -p ${prefix}/bodies && echo '{}' > ${prefix}/baseline.json && echo a > ${prefix}/bodies/${'a'.repeat(120)} && tar --posix -cf - ${prefix}`;
  const { stdout } = spawnSync('sh', ['-ec', script], { cwd: folder });
  return {
    name: 'archive of a baseline',
    share: 100,
    seeds: [stdout],
    async take(bytes) {
      await using target = await temporaryFolder();
      async function* source() {
        yield bytes;
      }
      try {
        await unpack(source(), prefix, target.path, { bytes: 100_000, files: 10 });
      } catch (error) {
        if (!(error instanceof UnfitTree)) throw error;
        throw new UserError('baseline-invalid', error.message, 'As the store says it.');
      }
    },
  };
}
