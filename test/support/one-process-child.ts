/** The other half of one-process.ts: a message is a run, and the answer how it ended. */
import { pathToFileURL } from 'node:url';
import type { Ended, Run } from './one-process.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

// A program's last statement ends its process; here it ends its run.
process.exit = ((code) => {
  if (code !== undefined) process.exitCode = code;
}) as typeof process.exit;

let runs = 0;
process.on('message', async ({ program, words, env }: Run) => {
  const variables = { ...process.env };
  const [stdout, stderr] = [captured(process.stdout), captured(process.stderr)];
  Object.assign(process.env, env);
  process.argv = [process.execPath, program, ...words];
  runs += 1;
  // A module of its own each time; what it imports is there already.
  await import(`${pathToFileURL(program).href}?run=${runs}`);
  const ended: Ended = { exitCode: Number(process.exitCode ?? 0), stdout: stdout(), stderr: stderr() };
  process.exitCode = undefined;
  for (const name of Object.keys(process.env)) if (!(name in variables)) delete process.env[name];
  Object.assign(process.env, variables);
  for (const signal of SIGNALS) process.removeAllListeners(signal);
  process.send?.(ended);
});

/** Takes what is written to a stream, and gives it back with the stream. */
function captured(stream: NodeJS.WriteStream): () => string {
  const { write } = stream;
  let text = '';
  stream.write = (part: string | Uint8Array, ...rest: readonly unknown[]) => {
    text += typeof part === 'string' ? part : Buffer.from(part).toString();
    const done = rest.at(-1);
    if (typeof done === 'function') done();
    return true;
  };
  return () => {
    stream.write = write;
    stream.removeAllListeners('error');
    return text.replace(/\n$/, '');
  };
}
