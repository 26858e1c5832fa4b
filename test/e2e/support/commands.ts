/** A command that the runner executes when it reads it in a step's output. */
export interface RunnerCommand {
  readonly command: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly data: string;
}

/** What a runner of version 2.3xx registers (ActionCommandManager.cs, and each IActionCommandExtension). */
const REGISTERED = new Set([
  ...['set-env', 'set-output', 'save-state', 'add-path', 'add-mask', 'add-matcher', 'remove-matcher'],
  ...[
    'warning',
    'error',
    'notice',
    'debug',
    'group',
    'endgroup',
    'echo',
    'stop-commands',
    'internal-set-repo-path',
  ],
]);

/** Lines as .NET's StreamReader parts them: a lone carriage return ends one too. */
export function runnerLines(log: string): string[] {
  return log.split(/\r\n|\r|\n/);
}

/** Every command of a log that would take effect, in order, by the rules of ActionCommand.cs. */
export function runnerCommands(log: string): RunnerCommand[] {
  return runnerLines(log).flatMap((line) => current(line) ?? legacy(line) ?? []);
}

/** `::name key=value,key=value::data` after leading white space. */
function current(line: string): RunnerCommand | undefined {
  const text = line.trimStart();
  if (!text.startsWith('::')) return undefined;
  const end = text.indexOf('::', 2);
  return end < 0 ? undefined : parse(text.slice(2, end), text.slice(end + 2), ',');
}

/** `##[name key=value;key=value]data` anywhere. */
function legacy(line: string): RunnerCommand | undefined {
  const start = line.indexOf('##[');
  const end = start < 0 ? -1 : line.indexOf(']', start);
  return end < 0 ? undefined : parse(line.slice(start + 3, end), line.slice(end + 1), ';');
}

function parse(head: string, data: string, separator: string): RunnerCommand | undefined {
  const space = head.indexOf(' ');
  const command = (space < 0 ? head : head.slice(0, space)).toLowerCase();
  if (!REGISTERED.has(command)) return undefined;
  const pairs = space < 0 ? [] : head.slice(space + 1).split(separator);
  const properties = pairs.flatMap((pair) => {
    const equals = pair.indexOf('=');
    return equals < 1 ? [] : [[pair.slice(0, equals).trim(), decoded(pair.slice(equals + 1))] as const];
  });
  return { command, properties: Object.fromEntries(properties), data: decoded(data) };
}

const decoded = (text: string) =>
  text
    .replaceAll('%0D', '\r')
    .replaceAll('%0A', '\n')
    .replaceAll('%3A', ':')
    .replaceAll('%2C', ',')
    .replaceAll('%3B', ';')
    .replaceAll('%5D', ']')
    .replaceAll('%25', '%');
