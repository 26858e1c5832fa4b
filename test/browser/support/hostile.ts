import type { Report } from '../../../src/report/schema.ts';
import { HOSTILE } from '../../unit/support/hostile.ts';

/** What a page could take for its own, beside what a log or Markdown could. */
export const HOSTILE_TEXTS: readonly string[] = [
  ...Object.values(HOSTILE),
  '</script><script>alert(1)</script>',
  '</style><style>*{display:none}</style>',
  '</title><h1>x</h1>',
  '<svg onload=alert(1)>',
  '"><img src=http://evil.example/x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '` onfocus=alert(1) autofocus x=`',
  'javascript:alert(1)',
  'https://evil.example/"onclick="alert(1)',
  '<a href="javascript:alert(1)">x</a>',
  '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  '--><base href="http://evil.example/"><meta http-equiv=refresh content="0;url=http://evil.example">',
  '<details open ontoggle=alert(1)>',
  ']]><!--',
  '{{7*7}}',
];

/** Names of what the code itself gives a meaning to, so that another text is another report. */
const KEPT: ReadonlySet<string> = new Set([
  ...['schema', 'sha256', 'conclusion', 'verdict', 'digest', 'outcome', 'record', 'baselineRecord'],
  ...['baselineMeta', 'hardwareClass', 'createdAt', 'kind', 'agreement', 'relation', 'requirement', 'status'],
  ...[
    'half',
    'state',
    'level',
    'mode',
    'store',
    'list',
    'strip',
    'cells',
    'tie',
    'certainty',
    'acceptable',
    'depth',
    'floorBy',
    'how',
  ],
  ...['no-baseline', 'incomparable'],
]);

/** A report all of whose free texts are the given one; what tells prompts and modules apart stays told apart. */
export function filledWith(report: Report, text: string): Report {
  const fill = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') return KEPT.has(key) ? value : renamed(value, key);
    if (Array.isArray(value)) return value.map((item) => fill(item, key));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, fill(member, name)]));
  };
  const renamed = (value: string, key: string) =>
    key === 'prompt' || key === 'id' || key === 'name' || key === 'parts' || key === 'first'
      ? `${text} ${value}`
      : text;
  return fill(report, '') as Report;
}
