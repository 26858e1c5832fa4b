/**
 * A host that starts one peer, says what it says, and waits to be killed: `node client.ts <options as JSON> <boot>`.
 * The boot's `HOST_PID` is this process's.
 */
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { runtimeOptions } from './runtimes.ts';

const [options = '{}', boot = ''] = process.argv.slice(2);
await using runtime = await chooseRuntime(runtimeOptions(JSON.parse(options)));
await using peer = await runtime.start(boot.replaceAll('HOST_PID', String(process.pid)));
peer.stderr.pipe(process.stderr);
for await (const chunk of peer.stdout) process.stdout.write(chunk);
