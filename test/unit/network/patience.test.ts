import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Hiccup, type Patience, patiently } from '../../../src/network/patience.ts';

/** What it came to, the seconds of each pause, and what was told. */
async function tried(attempt: () => Promise<unknown>, more: Partial<Patience> = {}) {
  const pauses: number[] = [];
  const told: string[] = [];
  const end = await patiently(attempt, {
    what: 'config.json',
    signal: new AbortController().signal,
    log: (line) => told.push(line),
    pause: async (seconds) => pauses.push(seconds),
    ...more,
  }).catch((error: unknown) => error);
  return { end, pauses, told };
}

describe('patience', () => {
  test('tries again after longer and longer pauses, and then tells the last hiccup', async () => {
    let tries = 0;
    const { end, pauses, told } = await tried(async () => {
      tries += 1;
      throw new Hiccup(`no. ${tries}`, undefined);
    });
    assert.deepEqual([pauses, tries], [[0.5, 1, 2, 4], 5]);
    assert.ok(end instanceof Hiccup && end.message === 'config.json: no. 5');
    assert.deepEqual(told, [
      'config.json: no. 3. The next attempt is in 2 s.',
      'config.json: no. 4. The next attempt is in 4 s.',
    ]);
  });

  test('waits as long as it is asked to, up to the window that the hub counts by', async () => {
    const after = [3, 3600];
    const { end, pauses } = await tried(async () => {
      const next = after.shift();
      if (next !== undefined) throw new Hiccup('later', next);
      return 'here';
    });
    assert.deepEqual([pauses, end], [[3, 300], 'here']);
  });

  test('begins to count anew when something has moved', async () => {
    let tries = 0;
    const { end } = await tried(
      async () => {
        tries += 1;
        if (tries < 20) throw new Hiccup('broken off', undefined);
        return tries;
      },
      { moved: () => tries % 4 === 0 },
    );
    assert.equal(end, 20);
  });

  test('is for hiccups alone', async () => {
    const { end, pauses } = await tried(async () => {
      throw new TypeError('a bug');
    });
    assert.deepEqual([pauses, end instanceof TypeError], [[], true]);
  });

  test('ends with the run', async () => {
    const abort = new AbortController();
    const attempt = patiently(
      async () => {
        throw new Hiccup('later', 50);
      },
      { what: 'config.json', signal: abort.signal, log: () => abort.abort(new Error('cancelled')) },
    );
    await assert.rejects(attempt, /cancelled/);
  });
});
