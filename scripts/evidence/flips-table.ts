import { cpus } from 'node:os';
import type { Flipped } from './flips.ts';

/** The sweep in Markdown: what it shows, and what it does not. */
export function tellFlips(all: readonly Flipped[], { date, seed }: { date: string; seed: number }): string {
  const dtypes = [...new Set(all.map(({ dtype }) => dtype))];
  const of = (dtype: string) => all.filter((one) => one.dtype === dtype);
  const row = (what: string, count: (found: readonly Flipped[]) => number | string) =>
    `| ${what} | ${dtypes.map((dtype) => count(of(dtype))).join(' | ')} |`;
  const number = (test: (one: Flipped) => boolean) => (found: readonly Flipped[]) =>
    found.filter(test).length;
  const named = ({ named: names }: Flipped) => names.length > 0;
  return `# Single bits turned over, ${date}, without a GPU

Made by \`npm run evidence -- --only flips\`, with seed ${seed}: any tensor of the checkpoint is as likely as any other, then
any element of it, then any bit of it. Each is turned over in the running engine (SmolLM2-135M-Instruct, real vLLM,
eager, one thread), the passes of a check run (two prompts of 16 tokens decoded freely and forced, one of them sampled;
four sequences scored and traced in that same prefill), the result is compared with the unchanged model's as a check
compares with its baseline, and the bit is put back. At the end the unchanged model computes what it did at the
beginning, to the bit. Every single result is in [flips.json](flips.json). Machine: ${cpus()[0]?.model.trim() ?? 'unknown'}.

| single bits | ${dtypes.join(' | ')} |
| --- | ${dtypes.map(() => '---').join(' | ')} |
${[
  row('turned over', (found) => found.length),
  row(
    'noticed by the text',
    number(({ text }) => text),
  ),
  row(
    'noticed by tokens',
    number(({ tokens }) => tokens),
  ),
  row(
    'noticed by bits of decoding (generate, force)',
    number(({ decode }) => decode),
  ),
  row(
    'noticed by bits of scores',
    number(({ score }) => score),
  ),
  row(
    'noticed by the trace',
    number(({ trace }) => trace),
  ),
  row('noticed by anything', number(isNoticed)),
  row('a module is named', number(named)),
  row(
    'it is the one that has the bit, in each sequence',
    number((one) => named(one) && one.wrong.length === 0),
  ),
  row(
    'another one is blamed',
    number(({ wrong }) => wrong.length > 0),
  ),
  row(
    'scores differ somewhere and no module is said to',
    number(({ unexplained }) => unexplained > 0),
  ),
  row(
    'made a NaN',
    number(({ nans }) => nans),
  ),
].join('\n')}

The right module is the one whose output the bit goes into first: vLLM keeps q, k and v as one (\`qkv_proj\`), gate and up
too (\`gate_up_proj\`), and the embedding, which is the head as well, works where its token is read, or else in the logits.

| where | ${dtypes.map((dtype) => `${dtype}: bits, text, tokens, decode, score, trace, named right`).join(' | ')} |
| --- | ${dtypes.map(() => '---').join(' | ')} |
${[...new Set(all.map(kindOf))]
  .sort()
  .map(
    (kind) =>
      `| ${kind} | ${dtypes
        .map((dtype) => {
          const found = of(dtype).filter((one) => kindOf(one) === kind);
          const counts = [
            number(({ text }) => text),
            number(({ tokens }) => tokens),
            number(({ decode }) => decode),
            number(({ score }) => score),
            number(({ trace }) => trace),
            number((one) => named(one) && one.wrong.length === 0),
          ];
          return [found.length, ...counts.map((count) => count(found))].join(', ');
        })
        .join(' | ')} |`,
  )
  .join('\n')}

## What it does not show

- Bits that nothing noticed may still matter for other texts. Here: ${list(all.filter((one) => !isNoticed(one)))}.
- One small dense model, on a CPU, in one thread: no mixture of experts, no quantised weights, no tensor parallelism.
- A bit of the checkpoint, as it is read: in float32 the lowest bit of a bfloat16 weight is no longer the lowest.
- Two short prompts and two passages. A row of the embedding that no token of them reads shows in logits alone.
`;
}

const isNoticed = ({ text, tokens, decode, score, trace }: Flipped) =>
  text || tokens || decode || score || trace;

const kindOf = ({ tensor }: Flipped) =>
  tensor
    .replace(/^model\.(?:layers\.\d+\.)?/, '')
    .replace(/\.weight$/, '')
    .replace(/^norm$/, 'the last norm');

const list = (missed: readonly Flipped[]) =>
  missed.length === 0
    ? 'there are none'
    : missed
        .map(({ dtype, tensor, index, bit }) => `bit ${bit} of \`${tensor}\` at ${index} in ${dtype}`)
        .join(', ');
