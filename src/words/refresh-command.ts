import type { Report } from '../report/schema.ts';

const REASON = '-f reason="why these bits are to be trusted"';

type Told = Pick<Report, 'context'>;

/** What makes a new baseline by hand, ready to be copied: the workflow whose dispatch has stored the one that there is. */
export const refreshCommand = (report: Told): string => commandOf(storedBy(report)?.name, 'refresh.yml');

/** The same of all legs at once: if a dispatch of that workflow has stored theirs in one run, or it measures them now. */
export function refreshAllCommand(reports: readonly Told[]): string {
  const stored = reports.map(storedBy);
  const [first] = stored;
  const isShared =
    stored.every((one) => one?.name === first?.name) &&
    (stored.every((one) => one?.run === first?.run) ||
      reports.every(({ context }) => context.run.workflow === first?.name));
  return commandOf(isShared ? first?.name : undefined, 'matrix.yml');
}

/** @param example of ours, that does it where nobody knows better */
const commandOf = (name: string | undefined, example: string) =>
  `gh workflow run ${name === undefined ? example : shown(name)} ${REASON}`;

/** Where nobody gave it a name, GitHub calls a workflow by its path, which `gh` does not take. */
const shown = (name: string) => (/\s/.test(name) ? `"${name}"` : (name.split('/').at(-1) ?? name));

/** A name that a shell would read otherwise is not told. */
function storedBy({
  context: { baseline },
}: Told): { readonly name: string; readonly run: string } | undefined {
  if (baseline.kind !== 'found' || baseline.provenance.event !== 'workflow_dispatch') return undefined;
  const { workflow: name, runId: run } = baseline.provenance;
  return /^[\w.@][\w .:@+/-]{0,99}$/.test(name) ? { name, run } : undefined;
}
