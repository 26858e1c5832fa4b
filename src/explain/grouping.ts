import type { Case, Group, View } from './types.ts';

/** What most cases of a suite answered. */
export interface Answers {
  /** By what was asked. */
  readonly questions: readonly { readonly key: string; readonly prompt: string; readonly kind: string }[];
  readonly prompts: readonly string[];
  readonly channels: readonly string[];
  /** What most cases gave: of each question these channels. */
  readonly given: readonly { readonly question: number; readonly channel: string }[];
}

/** More than half must have given something, for it to be asked of all. */
export function answersOf(cases: readonly Case[]): Answers {
  const times = new Map<string, { prompt: string; kind: string; channels: Map<string, number> }>();
  for (const { answers } of cases)
    for (const [key, { prompt, kind, channels }] of answers) {
      let one = times.get(key);
      if (one === undefined) {
        one = { prompt, kind, channels: new Map() };
        times.set(key, one);
      }
      for (const channel of channels.keys()) one.channels.set(channel, (one.channels.get(channel) ?? 0) + 1);
    }
  const most = [...times].flatMap(([key, { prompt, kind, channels }]) => {
    const usual = [...channels].flatMap(([name, count]) => (count * 2 > cases.length ? [name] : []));
    return usual.length === 0 ? [] : [{ key, prompt, kind, usual }];
  });
  return {
    questions: most.map(({ key, prompt, kind }) => ({ key, prompt, kind })),
    prompts: [...new Set(most.map(({ prompt }) => prompt))],
    channels: [...new Set(most.flatMap(({ usual }) => usual))],
    given: most.flatMap(({ usual }, question) => usual.map((channel) => ({ question, channel }))),
  };
}

/** What was grouped: of each case a number, -1 where it did not give all of it. */
export interface Numbered {
  readonly view: View;
  readonly numbers: Int32Array;
}

/** The whole; then each channel and each prompt by itself, where there are several. */
export function numbered(cases: readonly Case[], answers: Answers): Numbered[] {
  const { channels, prompts, given, questions } = answers;
  const ofPrompt = Map.groupBy(given, ({ question }) => questions[question]?.prompt ?? '');
  const ofChannel = Map.groupBy(given, ({ channel }) => channel);
  return [
    { view: { prompt: undefined, channel: undefined }, numbers: group(cases, answers, given) },
    ...(channels.length < 2
      ? []
      : channels.map((channel) => ({
          view: { prompt: undefined, channel },
          numbers: group(cases, answers, ofChannel.get(channel) ?? []),
        }))),
    ...(prompts.length < 2
      ? []
      : prompts.map((prompt) => ({
          view: { prompt, channel: undefined },
          numbers: group(cases, answers, ofPrompt.get(prompt) ?? []),
        }))),
  ];
}

function group(cases: readonly Case[], { questions }: Answers, given: Answers['given']): Int32Array {
  let numbers = new Int32Array(cases.length);
  for (const { question, channel } of given) {
    const key = questions[question]?.key ?? '';
    const seen = new Map<string, number>();
    const next = new Int32Array(cases.length);
    for (let i = 0; i < cases.length; i++) {
      const digest = cases[i]?.answers.get(key)?.channels.get(channel);
      if (digest === undefined || numbers[i] === -1) {
        next[i] = -1;
        continue;
      }
      const own = `${numbers[i]} ${digest}`;
      let number = seen.get(own);
      if (number === undefined) {
        number = seen.size;
        seen.set(own, number);
      }
      next[i] = number;
    }
    numbers = next;
  }
  return numbers;
}

/** Groups with names: the largest is `A`. */
export function groupsOf(numbers: Int32Array): Group[] {
  const all = new Map<number, number[]>();
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i] ?? -1;
    if (number === -1) continue;
    const own = all.get(number);
    if (own === undefined) all.set(number, [i]);
    else own.push(i);
  }
  // Cases are in the order of their names.
  return [...all.values()]
    .sort((a, b) => b.length - a.length || (a[0] ?? 0) - (b[0] ?? 0))
    .map((cases, index) => ({ name: nameOf(index), cases }));
}

/** `A`…`Z`, `A2`… */
function nameOf(index: number): string {
  const letter = String.fromCharCode(65 + (index % 26));
  return index < 26 ? letter : `${letter}${Math.floor(index / 26) + 1}`;
}

/** Cases that a map of all pairs shows; it grows with their square. */
export const MAX_MAPPED = 200;

/** On which share of what both gave two cases agree, question by question. */
export function agreementOf(cases: readonly Case[]): (number | null)[][] {
  const shown = cases.slice(0, MAX_MAPPED);
  return shown.map((a) => shown.map((b) => (a === b ? 1 : shareOf(a, b))));
}

function shareOf(a: Case, b: Case): number | null {
  let [both, same] = [0, 0];
  for (const [key, { channels }] of a.answers) {
    const other = b.answers.get(key)?.channels;
    if (other === undefined) continue;
    let [common, equal] = [false, true];
    for (const [name, digest] of channels) {
      const told = other.get(name);
      if (told === undefined) continue;
      common = true;
      if (told !== digest) equal = false;
    }
    if (!common) continue;
    both++;
    if (equal) same++;
  }
  return both === 0 ? null : same / both;
}
