import { equivalent, halfOfCores } from '../make.ts';

export const cpuQuota = equivalent('cpu-quota', 'a container with half of the CPU time', (subject) => {
  if (subject.fingerprint.ambient.runtime !== 'docker') return 'the engine runs in no container';
  const cpus = halfOfCores(subject);
  const { suite } = subject.loaded;
  return {
    ...subject,
    loaded: { ...subject.loaded, suite: { ...suite, runtime: { ...suite.runtime, cpus } } },
  };
});
