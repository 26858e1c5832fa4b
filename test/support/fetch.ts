import { UserError } from '../../src/errors.ts';
import { models } from './runtimes.ts';

/* Fetches a model as a process of its own, and prints the error that it ends with. */

const { state, endpoint, model } = JSON.parse(process.argv[2] ?? '');
const hub = { endpoint, token: undefined, environment: {} };
try {
  await models({ stateFolder: state, hub }).fetch(model);
  console.log(JSON.stringify({ code: '', message: '' }));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
