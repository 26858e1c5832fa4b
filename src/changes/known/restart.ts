import { equivalent } from '../make.ts';

export const restart = equivalent('restart', 'the engine started anew', (subject) => subject);
