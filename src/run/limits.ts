import { MAX_COMMAND_BYTES } from '../engine/protocol.ts';
import { UserError } from '../errors.ts';
import type { SuitePlaces } from '../suite/parse.ts';
import { STRANGERS } from './own-texts.ts';
import type { Plan } from './plan.ts';
import { GREEDY } from './requests.ts';

/** Of a request beside its text, sampling and tokens. */
const FRAME = 256;
/** Of a known token: four bytes in base64. */
const TOKEN = 16 / 3;
const STRANGERS_BYTES = Object.values(STRANGERS).join('').length;

/**
 * A pass is one command, with all that is asked in it. One that the harness would not read is refused here, before an
 * engine is started for it.
 *
 * @throws UserError `suite-invalid`
 */
export function refuseTooMuch({ prompts, texts, passes }: Plan, { file, ...places }: SuitePlaces): void {
  const asked = [
    ...prompts.map(({ id, content, sampling }) => ({ id, content, sampling })),
    ...texts.map(({ id, content }) => ({ id, content, sampling: GREEDY })),
  ];
  const hasNeighbours = passes.some(({ grouped }) => grouped === 'strangers');
  let bytes = 0;
  for (const { id, content, sampling } of asked) {
    const frame = FRAME + JSON.stringify(sampling).length;
    bytes += Buffer.byteLength(JSON.stringify(content)) + sampling.max_tokens * TOKEN + frame;
    if (hasNeighbours) bytes += 2 * frame + STRANGERS_BYTES;
    if (bytes <= MAX_COMMAND_BYTES) continue;
    const message = `with \`${id}\`, prompts, texts and their tokens come to more than ${MAX_COMMAND_BYTES / 1024 ** 2} MiB, and that is as much as an engine is asked at once`;
    throw new UserError(
      'suite-invalid',
      `${file}: ${message}.`,
      'Ask for fewer prompts, shorter ones or fewer tokens, or part them into several suites.',
      { places: [{ file, ...(places.prompts.get(id) ?? places.model), message }] },
    );
  }
}
