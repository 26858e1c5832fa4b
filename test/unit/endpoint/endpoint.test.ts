import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { tried } from '../../support/tried.ts';
import { EndpointJob, EndpointServer, type Hostile, type Serves } from '../support/endpoint.ts';
import { rejectedBy } from '../support/suites.ts';

/** As far as it could be witnessed. */
async function assertStored(job: EndpointJob): Promise<void> {
  const { verdict, conclusion } = await job.stores();
  assert.deepEqual([verdict, conclusion, job.store.saved.length], ['warn', 'unmeasured', 1]);
}

/** A server that made a baseline, and what a check says of it when it serves something else. */
async function checkedAgainst(before: Serves, now: Serves): Promise<{ job: EndpointJob; report: Report }> {
  await using server = await EndpointServer.start(before);
  const job = new EndpointJob(server);
  await assertStored(job);
  server.serves = now;
  return { job, report: await job.looks() };
}

const agreements = ({ relations }: Report) =>
  Object.fromEntries(
    relations
      .find(({ relation }) => relation === 'baseline')
      ?.findings.map(({ prompt, kind, agreement }) => [`${prompt} ${kind}`, agreement]) ?? [],
  );

const reasons = ({ relations }: Report) =>
  relations
    .flatMap(({ evidence, findings }) => [evidence, ...findings.map(({ reason }) => reason)])
    .join('; ');

/** What a run ends with that asks a hostile server. */
async function fault(hostile: Hostile, change: (job: EndpointJob) => void = () => {}) {
  await using server = await EndpointServer.start({ hostile });
  const job = new EndpointJob(server);
  change(job);
  const error = await rejectedBy(job.stores());
  return { error, job, asked: server.asked };
}

const isAsked = (path: string) => path.endsWith('completions');
/** Of the third question on: what it can be asked is known by then. */
const later =
  (hostile: Hostile): Hostile =>
  (asked, response, nth) =>
    isAsked(asked.path) && asked.body['max_tokens'] === 4 ? hostile(asked, response, nth) : undefined;

describe('an endpoint that tells all, as vLLM’s server does', () => {
  test('is stored, and reproduces: generations and scores, of text and messages', async () => {
    const { report, job } = await checkedAgainst({}, {});
    assert.equal(report.conclusion, 'reproduced');
    assert.deepEqual(agreements(report), {
      'capital generate': 'identical',
      'sky generate': 'identical',
      'capital score': 'identical',
      'sky score': 'identical',
      'prose score': 'identical',
    });
    const { declared, ambient } = report.environment.fingerprint;
    assert.deepEqual(
      [declared.engine.version, ambient.runtime, report.hardwareClass],
      ['0.30.0', 'endpoint', 'endpoint'],
    );
    assert.match(declared.endpoint ?? '', /^127\.0\.0\.1:\d+$/);
    assert.equal(job.engine.loads.length, 0, 'nothing was started here');
    // Nothing of this machine is told in its place: no GPUs that nobody saw, no code that nobody loaded.
    assert.deepEqual(
      report.context.notices.map(({ title }) => title),
      [],
    );
  });

  test('of other bits has drifted, in nats', async () => {
    const { report } = await checkedAgainst({}, { nats: -0.5 });
    assert.equal(report.conclusion, 'drift');
    assert.equal(agreements(report)['prose score'], 'logprobs-differ');
    const size = report.relations.find(({ relation }) => relation === 'baseline')?.size;
    assert.equal(size?.distance.largestNats, 0.25);
  });

  test('of other tokens too', async () => {
    const { report } = await checkedAgainst({}, { shift: 1 });
    assert.equal(agreements(report)['sky generate'], 'tokens-differ');
  });

  test('keeps what can be asked of it, and which system it says it is', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server);
    const report = await job.stores();
    const told = report.environment.settings.effective;
    assert.deepEqual(told, {
      'completions.logprobs': true,
      'completions.logprobs-20': true,
      'completions.token-ids': true,
      'completions.prompt-logprobs': true,
      'completions.seed': true,
      'completions.sampling': true,
      'chat/completions.logprobs': true,
      'chat/completions.logprobs-20': true,
      'chat/completions.token-ids': true,
      'chat/completions.seed': true,
      'chat/completions.sampling': true,
      system_fingerprint: 'fp_1',
    });
  });

  test('is told beforehand how much it is asked', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server);
    await job.stores();
    // Three rounds of 2 generations, and of 3 scores of which one is of a text.
    assert.match(job.lines.join('\n'), /is asked at most 24 requests with .* for 48 generated tokens/);
    const asked = server.asked.filter(({ path }) => isAsked(path)).length;
    assert.ok(asked <= 18 + 10, `${asked}`);
  });
});

describe('what an endpoint does not tell is unmeasured by name:', () => {
  test('one that knows OpenAI’s fields alone is stored by text and log-probabilities', async () => {
    const { report } = await checkedAgainst({ kind: 'openai' }, { kind: 'openai' });
    assert.equal(report.conclusion, 'reproduced');
    assert.deepEqual(agreements(report), { 'capital generate': 'identical', 'sky generate': 'identical' });
    assert.equal(report.environment.settings.effective['completions.token-ids'], false);
  });

  test('its other log-probabilities are seen, of tokens that it does not tell', async () => {
    const { report } = await checkedAgainst({ kind: 'openai' }, { kind: 'openai', nats: -0.5 });
    assert.equal(agreements(report)['capital generate'], 'logprobs-differ');
    assert.match(reasons(report), /of tokens that are not told differ by up to 0\.25 nats/);
  });

  test('one that tells its text alone is stored by that, and another text is seen', async () => {
    const same = await checkedAgainst({ kind: 'text' }, { kind: 'text' });
    assert.equal(same.report.conclusion, 'reproduced');
    const other = await checkedAgainst({ kind: 'text' }, { kind: 'text', shift: 1 });
    assert.equal(other.report.conclusion, 'drift');
    assert.equal(agreements(other.report)['sky generate'], 'text-differs');
  });

  test('what the baseline knows and it no longer tells', async () => {
    const { report } = await checkedAgainst({}, { kind: 'openai' });
    assert.equal(report.conclusion, 'unmeasured');
    assert.match(
      reasons(report),
      /only one of the two has `prompt-tokens`, `tokens`, `logprobs`, `told-logprobs`/,
    );
  });

  test('relations that look into an engine, for which nothing is asked', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server, '[rerun, restart, batch, prefix-cache, baseline]');
    await assertStored(job);
    const before = server.asked.length;
    const report = await job.looks();
    assert.equal(report.conclusion, 'unmeasured');
    assert.deepEqual(
      report.relations.map(({ relation, status }) => `${relation} ${status}`),
      [
        'rerun unmeasured',
        'restart unmeasured',
        'batch unmeasured',
        'prefix-cache unmeasured',
        'baseline held',
      ],
    );
    assert.match(reasons(report), /whether one process, or one machine, answers twice/);
    assert.ok(server.asked.length - before < 40);
  });
});

describe('NaN, which JSON has no word for,', () => {
  test('comes as null, and nothing that was computed with it becomes a baseline', async () => {
    await using server = await EndpointServer.start({ nats: null });
    const job = new EndpointJob(server);
    const report = await job.stores();
    assert.equal(report.verdict, 'fail');
    assert.match(JSON.stringify(report.context.baseline), /log-probabilities are NaN: the model is broken/);
    assert.equal(job.store.saved.length, 0);
  });

  test('is told beside a baseline that has none', async () => {
    const { report } = await checkedAgainst({}, { nats: null });
    assert.notEqual(report.verdict, 'pass');
    assert.match(reasons(report), /log-probabilities are NaN: the model is broken/);
  });
});

describe('a server that is busy', () => {
  test('is waited for as long as it asks, by seconds or by a date', async () => {
    let left = 2;
    await using server = await EndpointServer.start({
      hostile: later((_, response) => {
        if (left === 0) return undefined;
        const after = left === 2 ? '7' : new Date(Date.now() + 20_000).toUTCString();
        response.writeHead(left === 2 ? 429 : 503, { 'retry-after': after });
        response.end('{"error":{"message":"slow down"}}');
        left -= 1;
        return true;
      }),
    });
    const job = new EndpointJob(server);
    await assertStored(job);
    const [first, second = 0] = job.pauses;
    assert.equal(first, 7);
    assert.ok(second > 17 && second <= 20, `${second}`);
    assert.match(job.lines.join('\n'), /429, “slow down”\. The next attempt is in 7 s/);
  });

  test('and stays so is named with its last words, at the prompt, after five tries', async () => {
    let tries = 0;
    const { error } = await fault(
      later((_, response) => {
        tries += 1;
        response.writeHead(500);
        response.end('<html>\u001b[31moops');
        return true;
      }),
    );
    assert.equal(error.code, 'endpoint-unavailable');
    assert.match(
      error.message,
      /^suite\.yml:7:\d+ {2}127\.0\.0\.1:\d+: it answered 500, “<html>\\u\{1b\}\[31moops”/,
    );
    assert.deepEqual([tries, error.places.length], [5, 1]);
  });

  test('tells its rate limits in the log', async () => {
    await using server = await EndpointServer.start({
      hostile: (_, response) => {
        response.setHeader('x-ratelimit-limit-requests', '500');
        response.setHeader('x-ratelimit-remaining-tokens', '1000');
        return undefined;
      },
    });
    const job = new EndpointJob(server);
    await job.stores();
    assert.match(job.lines.join('\n'), /tells its rate limits: limit-requests 500, remaining-tokens 1000\./);
  });

  test('with an empty account is asked once', async () => {
    const { error, job } = await fault((asked, response) => {
      if (!isAsked(asked.path)) return undefined;
      response.writeHead(429);
      response.end('{"error":{"code":"insufficient_quota","message":"You exceeded your quota"}}');
      return true;
    });
    assert.deepEqual([error.code, job.pauses], ['endpoint-refused', []]);
    assert.match(error.message, /^suite\.yml:4:\d+ .*exceeded your quota/);
  });
});

describe('a broken server', () => {
  const said = (text: string, headers: Readonly<Record<string, string>> = {}): Hostile =>
    later((_, response) => {
      response.writeHead(200, headers);
      response.end(text);
      return true;
    });
  const altered = (change: (said: { choices: Record<string, unknown>[] }) => void): Hostile =>
    later(() => undefined) &&
    later((asked, response) => {
      const ids = [1, 2, 3, 4];
      const body = {
        choices: [
          {
            ...{ index: 0, text: 'x', finish_reason: 'length', token_ids: ids, prompt_token_ids: [1] },
            logprobs: { tokens: ids.map((id) => `token_id:${id}`), token_logprobs: ids.map(() => -1) },
          },
        ],
      };
      change(body);
      response.end(JSON.stringify(asked.path.includes('chat') ? {} : body));
      return true;
    });

  for (const [what, hostile, says] of [
    ['no JSON', said('<html>'), /answered what is no JSON: “<html>”/],
    ['no choice', said('{"choices":[]}'), /an answer that cannot be: `choices`/],
    [
      'a negative token id',
      altered(({ choices: [one] }) => Object.assign(one ?? {}, { token_ids: [-1, 2, 3, 4] })),
      /token_ids/,
    ],
    [
      'more tokens than it was asked for',
      altered(({ choices: [one] }) => Object.assign(one ?? {}, { token_ids: [1, 2, 3, 4, 5] })),
      /it has 5 tokens, and 4 were asked for/,
    ],
    [
      'other ids than its log-probabilities',
      altered(({ choices: [one] }) => Object.assign(one ?? {}, { token_ids: [1, 2, 3, 9] })),
      /its token 3 is 9 among its ids and 4 among its log-probabilities/,
    ],
    [
      'fewer log-probabilities than tokens',
      altered(({ choices: [one] }) => Object.assign(one ?? {}, { logprobs: { token_logprobs: [-1] } })),
      /1 log-probabilities of 4 tokens/,
    ],
    [
      'a log-probability above 0',
      altered(({ choices: [one] }) =>
        Object.assign(one ?? {}, { logprobs: { token_logprobs: [-1, 1, -1, -1] } }),
      ),
      /cannot be/,
    ],
  ] as const)
    test(`that gives ${what} is named, and nothing of it is used`, async () => {
      const { error, job } = await fault(hostile);
      assert.equal(error.code, 'endpoint-broken');
      assert.match(error.message, says);
      assert.deepEqual([job.store.saved.length, job.disk.unfinished], [0, 0]);
    });

  test('that cuts its answer off is asked again, and then named', async () => {
    const { error, job } = await fault(
      later((_, response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('{"choices":');
        setImmediate(() => response.destroy());
        return true;
      }),
    );
    assert.deepEqual([error.code, job.pauses.length], ['endpoint-unavailable', 4]);
    assert.match(error.message, /its answer was cut off after 11 bytes/);
  });

  test('that never stops talking is cut off', async () => {
    const { error } = await fault(said('x'.repeat(5000)), (job) => {
      job.limits = { bytes: 4096, silenceMs: 5000 };
    });
    assert.match(error.message, /gave an answer of more than 4096 bytes/);
  });

  test('that says nothing is given up', async () => {
    const { error } = await fault(
      later(() => true),
      (job) => {
        job.limits = { bytes: 4096, silenceMs: 20 };
      },
    );
    assert.equal(error.code, 'endpoint-unavailable');
    assert.match(error.message, /it sent nothing for 0\.02 s/);
  });

  test('that is not there is named', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server);
    await server[Symbol.asyncDispose]();
    const error = await rejectedBy(job.looks());
    assert.equal(error.code, 'endpoint-unavailable');
    assert.match(error.message, /^suite\.yml:4:\d+ .*ECONNREFUSED/);
    await using _ = await EndpointServer.start();
  });

  test('that knows no such model says so itself', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server);
    job.suite = job.suite.replace('served: small', 'served: large');
    const error = await rejectedBy(job.looks());
    assert.equal(error.code, 'endpoint-refused');
    assert.match(error.message, /404, “The model `large` does not exist\.”/);
    assert.match(error.hint, /`model\.served`/);
  });
});

describe('the key', () => {
  const KEY = 'sk-0123456789abcdef';

  test('is sent to the endpoint, and is in nothing that is left', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server);
    job.key = KEY;
    await job.stores();
    assert.ok(server.asked.every(({ headers }) => headers.authorization === `Bearer ${KEY}`));
    const left = JSON.stringify([
      job.lines,
      [...job.disk.files],
      [...job.disk.folders.values()].map((folder) => folder.record),
    ]);
    assert.ok(!left.includes(KEY));
    assert.match(job.lines.join('\n'), /with the key that `endpoint-key` gives/);
  });

  tried(
    'endpoint’s key, by a redirect',
    'a server that redirects what it is asked to another one',
    'no redirect is followed: the other one is asked nothing',
    async () => {
      await using thief = await EndpointServer.start();
      const { error } = await fault(
        (_, response) => {
          response.writeHead(307, { location: `${thief.url}/completions` });
          response.end();
          return true;
        },
        (job) => {
          job.key = KEY;
        },
      );
      assert.equal(error.code, 'endpoint-refused');
      assert.match(error.message, /redirects to 127\.0\.0\.1:\d+ \(307\)/);
      assert.deepEqual(thief.asked, []);
    },
  );

  tried(
    'endpoint’s key, in an error',
    'a server that says the key again in its error',
    'it is cut out of whatever the server says',
    async () => {
      const repeated = `Incorrect API key provided: ${KEY}`;
      const { error } = await fault(
        (_, response) => {
          response.writeHead(401);
          response.end(JSON.stringify({ error: { message: repeated } }));
          return true;
        },
        (job) => {
          job.key = KEY;
        },
      );
      assert.ok(!`${error.message}${error.hint}`.includes(KEY), error.message);
      assert.equal(error.code, 'endpoint-refused');
    },
  );

  tried(
    'endpoint’s key, in an answer',
    'a server that puts the key into the text that it generates',
    'the answer is thrown away, and nothing is recorded',
    async () => {
      const { error, job } = await fault(
        later((asked, response) => {
          response.end(JSON.stringify({ choices: [{ text: asked.headers.authorization }] }));
          return true;
        }),
        (one) => {
          one.key = KEY;
        },
      );
      assert.equal(error.code, 'endpoint-broken');
      assert.match(error.message, /answered with the key that it was given/);
      assert.ok(!JSON.stringify([job.lines, [...job.disk.files]]).includes(KEY));
    },
  );

  test('travels over plain HTTP to this machine alone', async () => {
    await using server = await EndpointServer.start();
    const job = new EndpointJob(server);
    job.key = KEY;
    job.suite = job.suite.replace(/http:\/\/127\.0\.0\.1:\d+/, 'http://models.example');
    const error = await rejectedBy(job.looks());
    assert.equal(error.code, 'endpoint-refused');
    assert.match(error.message, /models\.example would get the key over plain HTTP/);
  });
});

describe('an endpoint that is sampled', () => {
  /** A server whose batches move its bits. */
  const noisy = (nats: number, kind: Serves['kind'] = 'vllm'): (() => Serves) => {
    let state = 1;
    return () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return { kind, nats: nats + (state / 2 ** 32) * 0.02 };
    };
  };
  const sampled = async (before: () => Serves, now: () => Serves, relations = '[same-model]') => {
    await using server = await EndpointServer.start();
    const serve = (next: () => Serves) => {
      const hostile: Hostile = () => {
        server.serves = { ...next(), hostile };
        return undefined;
      };
      server.serves = { ...next(), hostile };
    };
    serve(before);
    const job = new EndpointJob(server, relations);
    await assertStored(job);
    serve(now);
    return { job, report: await job.looks(), asked: server.asked };
  };

  test('is the same model, though no bit of it repeats', async () => {
    const { report } = await sampled(noisy(-0.25), noisy(-0.251));
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    const [relation] = report.relations;
    assert.deepEqual(
      relation?.findings.map(({ agreement }) => agreement),
      ['indistinct', 'indistinct'],
    );
    assert.match(
      relation?.evidence ?? '',
      /p = 0\.\d+ of 9999 permutations over 2 of 2 prompts, 8 samples then and 8 now: no other model is seen, at a rate of 0\.001 false alarms/,
    );
  });

  test('is another model, where its log-probabilities are further off than by chance', async () => {
    const { report, asked } = await sampled(noisy(-0.25), noisy(-0.3));
    assert.deepEqual([report.conclusion, report.verdict], ['drift', 'fail']);
    // Samples are others each time: an acceptance of these would let no other run pass.
    assert.equal(report.acceptable, null);
    assert.match(report.relations[0]?.evidence ?? '', /p = 0\.0001 .*: another model/);
    assert.doesNotMatch(report.relations[0]?.evidence ?? '', /another load/);
    const ones = asked.filter(({ body }) => body['logprobs'] === 20 || body['top_logprobs'] === 20);
    assert.ok(ones.length >= 32, 'eight samples of two prompts, twice');
  });

  test('is told to be what another load can make too, where it is little more than its own noise', async () => {
    const { report } = await sampled(noisy(-0.25), noisy(-0.265));
    assert.equal(report.conclusion, 'drift');
    assert.match(
      report.relations[0]?.evidence ?? '',
      /the means are 0\.01\d+ nats apart, and a sample lies 0\.00\d+ from its own side’s: so little another load/,
    );
  });

  test('is told apart by the text of tokens too, where no ids are told', async () => {
    const { report } = await sampled(noisy(-0.25, 'openai'), noisy(-0.3, 'openai'));
    assert.equal(report.conclusion, 'drift');
  });

  test('is unmeasured where one side has ids and the other the text of tokens alone', async () => {
    const { report } = await sampled(noisy(-0.25), noisy(-0.25, 'openai'));
    assert.equal(report.conclusion, 'unmeasured');
    assert.match(reasons(report), /one side tells token ids, and the other the text of tokens alone/);
  });

  test('is unmeasured where it tells no log-probabilities', async () => {
    const { report } = await sampled(noisy(-0.25, 'text'), noisy(-0.25, 'text'));
    assert.match(reasons(report), /the endpoint tells no log-probabilities/);
    assert.equal(report.conclusion, 'unmeasured');
  });

  test('becomes the baseline of another model by a reason, and by nothing else', async () => {
    await using server = await EndpointServer.start({ nats: -0.25 });
    const job = new EndpointJob(server, '[same-model]');
    await assertStored(job);
    server.serves = { nats: -0.5 };
    const scheduled = await job.stores('schedule', { reason: '' });
    assert.deepEqual([scheduled.verdict, job.store.saved.length], ['fail', 1]);
    const reasoned = await job.stores();
    assert.deepEqual([reasoned.context.baseline.kind, job.store.saved.length], ['stored', 2]);
    assert.equal((await job.looks()).conclusion, 'reproduced');
  });

  test('without a baseline says that there is none', async () => {
    await using server = await EndpointServer.start();
    assert.equal((await new EndpointJob(server, '[same-model]').looks()).conclusion, 'no-baseline');
  });
});
