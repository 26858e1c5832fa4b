import { cpus } from 'node:os';
import { EVENTS, type Soaked } from './soak.ts';

/** docs/evidence/<date>-soak/README.md. @param count of the checks that were planned, without the last one of each bench */
export function tellSoak(
  done: readonly Soaked[],
  {
    date,
    seed,
    count,
    command,
    file,
  }: { date: string; seed: number; count: number; command: string; file: string },
): string {
  const checks = done.slice(0, count);
  const wrong = done.flatMap((one, index) => one.wrong.map((what) => ({ what, one, number: index + 1 })));
  const of = (truth: Soaked['truth']) => checks.filter((one) => one.truth === truth);
  const green = (all: readonly Soaked[]) => all.filter((one) => one.green).length;
  const rows = EVENTS.map((event) => {
    const all = checks.filter((one) => one.event === event);
    const ends = [...Map.groupBy(all, ({ end }) => end)]
      .sort(([, a], [, b]) => b.length - a.length)
      .map(([end, some]) => `\`${end}\` ${some.length}`);
    return `| ${event} | ${all.length} | ${ends.join(', ')} | ${green(all)} | ${all.filter((one) => one.wrong.length > 0).length} |`;
  });
  const benches = [...Map.groupBy(checks, ({ bench }) => bench)].map(
    ([bench, some]) => `${some.length} on \`${bench}\``,
  );
  const last = done.slice(count);
  const minutes = done.reduce((sum, { seconds }) => sum + seconds, 0) / 60;
  return `# ${count} checks in a row, with whatever can befall one, ${date}

Made by \`${command}\`; each check is in [${file}](${file}). What befalls which check, and when, follows from the seed ${seed}
alone. Machine: ${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} threads, no GPU. ${benches.join(', ')}; ${minutes.toFixed(0)} minutes.

The built action is started as a runner starts it, and each bench has one baseline from the beginning to the end. In ${of('drift').length} of the
checks the engine computes something else than the baseline knows, and neither suite nor fingerprint says so; in ${of('same').length} nothing has
changed. An event comes at a moment between the start and a tenth after the usual end, so that some come too late to matter. A disk
that is full has 8 to 64 KiB. After a kill of the action, the runner runs its post step in half of the cases, and else the next check
has to clear up.

| what befell it | checks | how they ended | green | something wrong |
| --- | --- | --- | --- | --- |
${rows.join('\n')}

| claim | held |
| --- | --- |
| no check whose engine had drifted ends green, or is said to have reproduced | ${of('drift').length - green(of('drift'))} of ${of('drift').length} |
| no check is green without having concluded \`reproduced\` | ${checks.filter((one) => !one.green || one.end === 'reproduced').length} of ${count} |
| no check is told to have drifted, or to be unstable, where nothing had changed | ${of('same').filter(({ end }) => !/^(drift|unstable|relation-broken)$/.test(end)).length} of ${of('same').length} |
| once a run has cleared up, nothing is left that was not there before: temporary folders, sockets, processes, half a record, state, containers, volumes | ${without('left behind')} of ${count} |
| the baseline is byte for byte what it was | ${without('the baseline')} of ${count} |
| after all of it, an undisturbed check of each bench reproduces | ${last.filter(({ end }) => end === 'reproduced').length} of ${last.length} |

${
  wrong.length === 0
    ? 'Nothing was wrong in any of them.'
    : `What was wrong:\n\n${wrong.map(({ what, one, number }) => `- check ${number} (${one.bench}, ${one.truth}, ${one.event}), which ended \`${one.end}\`: ${what}`).join('\n')}`
}
`;

  function without(beginning: string): number {
    return checks.filter((one) => !one.wrong.some((what) => what.startsWith(beginning))).length;
  }
}
