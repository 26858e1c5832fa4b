/**
 * `npm run bench` prints ratios taken in one run, each against its goal; `--json` gives the numbers by name, `--only
 * NAME` takes one of them, or several if it is repeated. docs/performance.md says what they mean.
 */
import { parseArgs } from 'node:util';
import { BigRecords } from './bench/big-records.ts';
import { coldStart } from './bench/cold-start.ts';
import { compareDrifted } from './bench/compare-drifted.ts';
import { compareIdenticalMs } from './bench/compare-identical.ts';
import { compareMemoryGrowth, compareMemoryMb } from './bench/compare-memory.ts';
import { Demo, type Shape } from './bench/demo.ts';
import { engineStarts } from './bench/engine-starts.ts';
import { explainGrowth, explainSeconds } from './bench/explain.ts';
import type { Bench, Figure, Measured } from './bench/figure.ts';
import { overhead, overheadLong } from './bench/overhead.ts';
import { sensitivity } from './bench/sensitivity.ts';
import { traceSeconds } from './bench/trace-seconds.ts';
import { warmRefresh } from './bench/warm-refresh.ts';
import { step } from './setup/step.ts';

const FIGURES: Readonly<Record<string, Figure>> = {
  coldStart,
  compareDrifted,
  compareIdenticalMs,
  compareMemoryMb,
  compareMemoryGrowth,
  explainSeconds,
  explainGrowth,
  overhead,
  overheadLong,
  traceSeconds,
  sensitivity,
  engineStarts,
  warmRefresh,
};

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string', multiple: true } },
});
const names = values.only ?? Object.keys(FIGURES);
const wanted = Object.entries(FIGURES).filter(([name]) => names.includes(name));
const unknown = names.find((name) => !Object.hasOwn(FIGURES, name));
if (unknown !== undefined) {
  console.error(`\`${unknown}\` is none of ${Object.keys(FIGURES).join(', ')}.`);
  process.exit(2);
}

await using owned = new AsyncDisposableStack();
const newDemo = async (shape: Shape) => owned.use(await Demo.make(shape));
const bench: Bench = {
  records: lazy(async () => owned.use(await BigRecords.make())),
  demo: lazy(() => newDemo({ relations: ['baseline'] })),
  newDemo,
};

const taken: Record<string, number | null> = {};
for (const [name, figure] of wanted) {
  const measured = await step(name, () => figure.measure(bench));
  taken[name] = measured.value;
  if (values.json !== true) console.log(line(name, figure, measured));
}
if (values.json === true) console.log(JSON.stringify(taken, null, 2));

function line(name: string, { goal, meets, meaning }: Figure, { value, detail }: Measured): string {
  const met = value !== null && meets(value);
  const number = value === null ? 'not measured' : value.toPrecision(4);
  return `${name}  ${number}  (goal ${goal}: ${met ? 'met' : 'NOT met'})\n    ${meaning}\n    ${detail}`;
}

function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
