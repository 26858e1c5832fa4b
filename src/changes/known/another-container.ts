import { equivalent } from '../make.ts';

export const anotherContainer = equivalent(
  'another-container',
  'another container, so another host name',
  (subject) =>
    subject.fingerprint.ambient.runtime === 'docker' ? subject : 'the engine runs in no container',
);
