import { z } from 'zod';
import { type Launch, readLauncher } from './launcher.ts';
import { invalidFile, MAX_SUITE_BYTES, type Position, problemsIn, repeated, TOLD } from './parse.ts';
import { WITHIN } from './variant.ts';
import { type Problem, readYaml } from './yaml.ts';

const MAX_LAUNCHERS = 256;
const MAX_AT_ONCE = 64;
const AT_ONCE = `is a whole number from 1 to ${MAX_AT_ONCE}`;

const MINUTES = 'is a number of minutes, a week at most';
const minutes = z
  .number()
  .positive(MINUTES)
  .max(7 * 24 * 60, MINUTES);
const path = z.string().min(1).max(4096);

const Member = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9](?:[\w.-]{0,62}\w)?$/, 'is a name of letters, digits, `.`, `-` and `_`')
    .describe('What reports and records call it.'),
  launcher: z.string().min(1).max(4096).describe('The command that takes an engine there, e.g. `ssh gpu7`.'),
  python: path.default('python3').describe('The Python there, with the engine.'),
  model: path.optional().describe('Folder of the model there, where it is not at the suite’s own path.'),
  'timeout-minutes': minutes.optional().describe('Until it is stopped; else what holds for all.'),
  optional: z.boolean().default(false).describe('Whether the fleet passes without it.'),
});

/** What `deterministic-ml fleet` reads. */
export const FleetFile = z.strictObject({
  apiVersion: z.literal('deterministic-ml/v1').describe('Version of this format.'),
  suite: path.describe('The suite that all are asked, relative to the repository.'),
  'at-once': z
    .int()
    .min(1, AT_ONCE)
    .max(MAX_AT_ONCE, AT_ONCE)
    .default(4)
    .describe('How many run at one time, at most.'),
  'timeout-minutes': minutes.optional().describe('Until a launcher’s engine is stopped.'),
  require: z
    .union([
      z.enum(['measure', 'identical']),
      z.string().regex(WITHIN, 'is `measure`, `identical` or a distance such as `within 2x floor`'),
    ])
    .default('measure')
    .describe(
      '`measure` groups them; `identical` fails where they are not all one group; `within 2x floor` where groups are further apart.',
    ),
  launchers: z.array(Member).min(1).max(MAX_LAUNCHERS).describe('Who is asked.'),
});

/** Where the same suite is to be measured. */
export interface Fleet {
  /** As errors name it. */
  readonly file: string;
  readonly suite: string;
  readonly atOnce: number;
  /** `measure`, `identical`, or how far groups may be apart: `within 2x floor`. */
  readonly required: string;
  readonly members: readonly FleetMember[];
}

export interface FleetMember {
  readonly name: string;
  readonly launch: Launch;
  /** Undefined: what the run was told. */
  readonly timeoutSeconds: number | undefined;
  readonly isOptional: boolean;
  /** Of its entry. */
  readonly place: Position;
}

/** Of a file that is none. */
const NOTHING: Partial<z.infer<typeof FleetFile>> = {};

/**
 * @param file name shown in messages and annotations
 * @throws UserError `fleet-invalid` with every problem at once, each with its line and column
 */
export function parseFleet(source: string, file: string): Fleet {
  const fail = (problems: readonly Problem[]) =>
    invalidFile(
      file,
      problems,
      'fleet-invalid',
      'Correct the lines above; docs/fleet.md describes every key.',
    );
  if (Buffer.byteLength(source) > MAX_SUITE_BYTES)
    throw fail([{ line: 1, column: 1, message: `the file is larger than ${MAX_SUITE_BYTES} bytes` }]);
  const yaml = readYaml(source, 'a fleet');
  const { place, structure } = yaml;
  if (yaml.syntax.length > 0) throw fail(yaml.syntax);
  if (!yaml.isMade) throw fail(structure);
  const value = yaml.value();
  const result = FleetFile.safeParse(value, TOLD);
  const problems = [
    ...structure,
    ...problemsIn(result.error, place, FleetFile, 'the fleet'),
    ...repeated(value, 'launchers', 'name').map(({ name, index }) => ({
      ...place(['launchers', index, 'name']),
      message: `\`${name}\` is named twice`,
    })),
  ];
  const { launchers = [], 'timeout-minutes': all } = result.data ?? NOTHING;
  const members = launchers.flatMap((member, index): FleetMember[] => {
    const read = readLauncher(member.launcher);
    if ('problem' in read) {
      const message = `\`${member.name}\` has no launcher that could be started: ${read.problem}`;
      problems.push({ ...place(['launchers', index, 'launcher']), message });
      return [];
    }
    const limit = member['timeout-minutes'] ?? all;
    return [
      {
        name: member.name,
        launch: { argv: read.ok, python: member.python, model: member.model },
        timeoutSeconds: limit === undefined ? undefined : limit * 60,
        isOptional: member.optional,
        place: place(['launchers', index]),
      },
    ];
  });
  if (!result.success || problems.length > 0) throw fail(problems);
  const { suite, require: required, 'at-once': atOnce } = result.data;
  return { file, suite, atOnce, required, members };
}
