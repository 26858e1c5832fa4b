/*
 * What fields are called, who owns them, and which of two that fit alike is named first. An owner is what somebody can
 * change by itself: another GPU has other SMs, memory and a BIOS, and nobody changes these one by one.
 */

const OWNERS: Readonly<Record<string, string>> = {
  'SM count': 'gpu',
  'compute capability': 'gpu',
  'GPU name': 'gpu',
  'GPU memory': 'gpu',
  'GPU vendor': 'gpu',
  'GPU BIOS': 'gpu',
  'MIG slice': 'gpu',
  'GPU identity': 'gpu',
  'GPU count': 'gpu count',
  'GPU links': 'gpu count',
  driver: 'driver',
  'CPU vendor': 'cpu',
  'CPU model': 'cpu',
  'CPU level': 'cpu',
  'CPU capability': 'cpu',
  'CPU cores': 'cpu',
  memory: 'cpu',
  OS: 'os',
  kernel: 'os',
};

/** Who owns a field; one that has no other owner owns itself. */
export const ownerOf = (field: string): string =>
  OWNERS[field] ?? (/^(dpkg|rpm|apk|object) /.test(field) ? 'os' : field);

/** Between sets that fit alike: what decides kernels first, then what was asked, then what lies further from the numbers. */
const ORDER: readonly RegExp[] = [
  /^SM count$/,
  /^GPU count$/,
  /^compute capability$/,
  /^GPU (name|memory|vendor)$|^MIG slice$/,
  /^(model|argument|in force|engine|image|variable)\b/,
  /^library /,
  /^driver$/,
  /^(python) /,
  /^CPU (level|capability|vendor)$/,
  /^GPU /,
  /^CPU |^memory$/,
  /^(OS|kernel|runtime)$/,
];

export function rankOf(field: string): number {
  const at = ORDER.findIndex((pattern) => pattern.test(field));
  return at === -1 ? ORDER.length : at;
}
