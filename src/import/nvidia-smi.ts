import { sha256 } from '../record/digest.ts';
import { cardOf } from './collect-env.ts';
import { factOf } from './names.ts';
import type { Problems } from './problems.ts';
import type { ImportedEnvironment, ImportSource, Taken } from './source.ts';
import { UNKNOWN_AMBIENT, UNKNOWN_ENVIRONMENT, UNKNOWN_FINGERPRINT } from './unknown.ts';

/* What `nvidia-smi -q -x` prints. A handful of elements is looked for; nothing of XML beyond them is interpreted. */

const MAX_CHARACTERS = 8 * 1024 * 1024;
const MAX_GPUS = 64;

export const nvidiaSmi: ImportSource = {
  name: 'nvidia-smi',
  what: '`.xml` that `nvidia-smi -q -x` printed, beside results or above them',
  async take(folder, problems): Promise<Taken> {
    const files: string[] = [];
    const environments: ImportedEnvironment[] = [];
    for (const name of folder.files) {
      if (!/\.xml$/i.test(name)) continue;
      const text = await folder.text(name);
      if (text === undefined) {
        files.push(name);
        continue;
      }
      if (!text.slice(0, 4096).includes('<nvidia_smi_log')) continue;
      files.push(name);
      const file = folder.path === '' ? name : `${folder.path}/${name}`;
      const environment = environmentIn(text, file, problems);
      if (environment !== undefined) environments.push(environment);
    }
    return { files, runs: [], environments };
  },
};

function environmentIn(text: string, file: string, problems: Problems): ImportedEnvironment | undefined {
  const wrong =
    text.length > MAX_CHARACTERS
      ? `is larger than ${MAX_CHARACTERS} characters`
      : /<!ENTITY/i.test(text)
        ? 'declares entities of its own, which are not read'
        : text.includes('</nvidia_smi_log>')
          ? undefined
          : 'ends before `</nvidia_smi_log>`';
  if (wrong !== undefined) {
    problems.add(file, wrong.startsWith('ends') ? text.split('\n').length : 1, wrong);
    return undefined;
  }
  const [head = '', ...cards] = text.split(/<gpu(?=[ >])/);
  if (cards.length === 0 || cards.length > MAX_GPUS) {
    problems.add(file, 1, `tells ${cards.length} GPUs: 1 to ${MAX_GPUS} can be`);
    return undefined;
  }
  const cuda = element(head, 'cuda_version');
  return {
    ...UNKNOWN_ENVIRONMENT,
    fingerprint: {
      declared: {
        ...UNKNOWN_FINGERPRINT.declared,
        // Of the driver, and not what torch was built for.
        libraries: cuda === undefined ? {} : { 'cuda-of-driver': factOf(cuda) },
      },
      ambient: {
        ...UNKNOWN_AMBIENT,
        driver: factOf(element(head, 'driver_version')),
        gpus: cards.map((card) => {
          const [uuid, vbios] = [element(card, 'uuid'), element(card, 'vbios_version')];
          const [, memory = ''] = card.split('<fb_memory_usage>');
          const total = /^(\d{1,9}) MiB$/.exec(element(memory, 'total') ?? '')?.[1];
          return {
            ...cardOf(element(card, 'product_name') ?? ''),
            vendor: 'nvidia',
            ...(uuid === undefined ? {} : { uuidHash: sha256(uuid).slice(0, 16) }),
            ...(vbios === undefined ? {} : { vbios: factOf(vbios) }),
            ...(total === undefined ? {} : { memoryBytes: Number(total) * 1024 ** 2 }),
          };
        }),
      },
    },
  };
}

/** Text of the first element of a name; undefined where there is none, or it says that it is none. */
function element(text: string, name: string): string | undefined {
  const from = text.indexOf(`<${name}>`);
  const to = from === -1 ? -1 : text.indexOf('<', from + name.length + 2);
  if (to === -1) return undefined;
  const value = text.slice(from + name.length + 2, to).trim();
  return value === '' || value === 'N/A' ? undefined : value;
}
