import { ensureEverything } from './setup/everything.ts';
import { step } from './setup/step.ts';

await step('Setup', () => ensureEverything((what, where) => console.log(`${what.padEnd(9)} ${where}`)));
