/** A prompt of a new suite; `file` is written beside it. */
export interface StarterPrompt {
  readonly id: string;
  /** What it is there to see. */
  readonly why: string;
  readonly text?: string;
  readonly file?: { readonly name: string; readonly text: string };
  readonly isChat?: true;
  /** Over the suite's own, as YAML. */
  readonly sampling?: string;
}

/**
 * Twelve that see what single short ones miss: prefills of more than one block and more than one chunk, rare tokens, and
 * a sampler. A chat template is asked only where the model has one.
 */
export const starterPrompts = (hasChat: boolean): readonly StarterPrompt[] => [
  { id: 'capital', why: 'short, and sure of itself', text: 'The capital of France is' },
  { id: 'numbers', why: 'digits', text: '1, 1, 2, 3, 5, 8, 13, 21,' },
  {
    id: 'sums',
    why: 'an answer that one wrong digit changes',
    text: 'Question: A train leaves at 9:40 and arrives at 13:05. How many minutes does it travel?\nAnswer:',
  },
  {
    id: 'python',
    why: 'code',
    text: 'def median(values: list[float]) -> float:\n    """The middle of the sorted values, or the mean of the two in the middle."""\n',
  },
  {
    id: 'sql',
    why: 'code of another kind',
    text: '-- Customers without an order in the last 90 days, newest first\nSELECT',
  },
  { id: 'json', why: 'structure', text: '{"name": "Ada Lovelace", "born": 1815, "works": [' },
  { id: 'german', why: 'another language', text: 'Der Unterschied zwischen Wetter und Klima ist, dass' },
  { id: 'chinese', why: 'another script', text: '长城是中国古代的' },
  { id: 'arabic', why: 'a script from right to left', text: 'تقع مدينة القاهرة على ضفاف' },
  hasChat
    ? {
        id: 'chat',
        why: 'the chat template',
        isChat: true,
        text: 'Explain in two sentences why the sky is blue.',
      }
    : { id: 'story', why: 'prose', text: 'The lighthouse keeper had not spoken to anyone for a month when' },
  {
    id: 'long',
    why: 'more than 256 tokens: several blocks of the KV cache',
    file: { name: 'prompts/determinism-long.txt', text: ledger(30) },
  },
  {
    id: 'longer',
    why: 'more than 1,024 tokens: a prefill in chunks, and other kernels. Drawn, so that a changed sampler shows',
    file: { name: 'prompts/determinism-longer.txt', text: ledger(90) },
    sampling: '{ temperature: 0.8, top_p: 0.95, seed: 7 }',
  },
];

const WHO = [
  'Amara',
  'Bjarne',
  'Chiyo',
  'Dolores',
  'Emeka',
  'Farida',
  'Goran',
  'Hina',
  'Ivo',
  'Jacinta',
  'Kofi',
];
const WHAT = [
  'copper wire',
  'winter wheat',
  'window glass',
  'salted cod',
  'roof tiles',
  'lamp oil',
  'sailcloth',
];
const WHERE = [
  'the north quay',
  'the old granary',
  'a barge upstream',
  'the railway yard',
  'the hill market',
];
const HOW = [
  'after two days of rain',
  'against a receipt that nobody signed',
  'as agreed in the spring',
  'at half of last year’s price',
];

/** Prose without a rhythm that a model falls into: its lists have lengths without a common factor. */
function ledger(entries: number): string {
  const pick = (list: readonly string[], at: number) => list[at % list.length] ?? '';
  const lines = Array.from({ length: entries }, (_, n) => {
    const amount = 3 + ((n * 37) % 58);
    return `Entry ${n + 1}: ${pick(WHO, n)} sold ${amount} loads of ${pick(WHAT, n)} to ${pick(WHO, n * 3 + 4)} at ${pick(WHERE, n)} ${pick(HOW, n)}.`;
  });
  return `The ledger of the harbour company, as the clerk kept it.\n${lines.join('\n')}\nIn short, the ledger shows that`;
}
