import { cpus } from 'node:os';
import type { Foretold } from './probes.ts';

/** The measurement in Markdown: what moved, and which probes would have said so beforehand. */
export function tellProbes(
  all: readonly Foretold[],
  { date, torch }: { readonly date: string; readonly torch: string },
): string {
  const dtypes = [...new Set(all.map(({ dtype }) => dtype))];
  const probes = [...new Set(all.flatMap((one) => Object.keys(one.probes)))];
  return `# Probes and a model, side by side, ${date}, without a GPU

Made by \`npm run evidence -- --only probes\`; every number is in [probes.json](probes.json). Each change is a variable set for
one engine start: once for all probes of \`kernels\`, once for SmolLM2-135M-Instruct under \`transformers\` (three prompts of 24
tokens decoded freely and forced, four sequences scored and traced), each compared with a start without it. PyTorch ${torch},
${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} threads.

A cell of a probe is how many of its calls gave other bits. The model's columns are how many prompts got other tokens, of how
many the bits of log-probabilities differ in decoding and in scoring, and the first module that differs.
${dtypes
  .map((dtype) =>
    part(
      dtype,
      all.filter((one) => one.dtype === dtype),
      probes,
    ),
  )
  .join('')}
## Which probe foretold the model's drift

Over all ${all.length} changes above; the model's bits moved in ${all.filter(moved).length} of them. What is told beforehand is that something moves,
and roughly where: \`o_proj\` is the first module behind attention, which is none itself, and \`q_proj\` is a product.

| probe | moved, and the model too | moved, and the model did not | did not move, and the model did | neither |
| --- | --- | --- | --- | --- |
${[
  ...probes.map(
    (probe) => [`\`${probe}\``, (one: Foretold) => (one.probes[probe]?.differ ?? 0) > 0] as const,
  ),
  ['any of them', anyProbe] as const,
]
  .map(([name, test]) => {
    const count = (probe: boolean, model: boolean) =>
      all.filter((one) => test(one) === probe && moved(one) === model).length;
    return `| ${name} | ${count(true, true)} | ${count(true, false)} | ${count(false, true)} | ${count(false, false)} |`;
  })
  .join('\n')}

One machine, one model, ${all.length} changes that choose kernels: what a probe foretells of another model, another engine's
own kernels, or a GPU, this does not say.
`;
}

const moved = ({ model }: Foretold) => model.tokens + model.decode + model.score > 0 || model.first !== null;
const anyProbe = ({ probes }: Foretold) => Object.values(probes).some(({ differ }) => differ > 0);

const part = (dtype: string, all: readonly Foretold[], probes: readonly string[]) => `
## ${dtype}

| change | ${probes.join(' | ')} | tokens | decoding | scoring | first module |
| --- | ${probes.map(() => '---').join(' | ')} | --- | --- | --- | --- |
${all
  .map((one) => {
    const cells = probes.map((probe) => {
      const { differ = 0, calls = 0 } = one.probes[probe] ?? {};
      return differ === 0 ? '·' : `**${differ}** of ${calls}`;
    });
    const { tokens, decode, decoded, score, scored, first } = one.model;
    const of = (count: number, all: number) => (count === 0 ? '·' : `**${count}** of ${all}`);
    return `| \`${one.change}\` | ${cells.join(' | ')} | ${of(tokens, decoded)} | ${of(decode, decoded)} | ${of(score, scored)} | ${first === null ? '·' : `\`${first}\``} |`;
  })
  .join('\n')}
`;
