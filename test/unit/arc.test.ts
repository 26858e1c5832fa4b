import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';

/*
 * The manifests of examples/arc, held to what the chart gha-runner-scale-set documents in its values.yaml
 * (github.com/actions/actions-runner-controller at 0041559278bc181e1a3a3accd8ea67593b32359f), as far as they use it, and to what
 * Kubernetes calls the parts of a pod. The chart's own values.schema.json constrains none of these keys. No cluster runs here.
 */

const Container = z.strictObject({
  name: z.literal('runner'),
  image: z.literal('ghcr.io/actions/actions-runner:latest'),
  command: z.tuple([z.literal('/home/runner/run.sh')]),
  env: z.array(z.strictObject({ name: z.string(), value: z.string() })).default([]),
  volumeMounts: z
    .array(z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.boolean() }))
    .default([]),
});

const Values = z.strictObject({
  githubConfigUrl: z.url(),
  // The name of a secret: none stands in a file.
  githubConfigSecret: z.string(),
  runnerScaleSetName: z.string(),
  minRunners: z.int(),
  maxRunners: z.int(),
  containerMode: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('dind') }),
    z.strictObject({
      type: z.literal('kubernetes'),
      kubernetesModeWorkVolumeClaim: z.strictObject({
        accessModes: z.tuple([z.literal('ReadWriteOnce')]),
        storageClassName: z.string(),
        resources: z.strictObject({ requests: z.strictObject({ storage: z.string().regex(/^\d+Gi$/) }) }),
      }),
    }),
  ]),
  template: z.strictObject({
    spec: z.strictObject({
      containers: z.tuple([Container]),
      volumes: z
        .array(z.strictObject({ name: z.string(), configMap: z.strictObject({ name: z.string() }) }))
        .default([]),
    }),
  }),
});

const ConfigMap = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('ConfigMap'),
  metadata: z.strictObject({ name: z.string() }),
  data: z.record(z.string(), z.string()),
});

const JobPod = z.strictObject({
  spec: z.strictObject({
    nodeSelector: z.record(z.string(), z.string()),
    containers: z.tuple([
      z.strictObject({
        // The hook's name for the job's own container.
        name: z.literal('$job'),
        resources: z.strictObject({ limits: z.strictObject({ 'nvidia.com/gpu': z.int() }) }),
      }),
    ]),
  }),
});

const read = async (path: string): Promise<unknown> =>
  parse(await readFile(new URL(`../../examples/${path}`, import.meta.url), 'utf8'));

describe('the manifests for ARC', () => {
  test('say with a daemon only what the chart knows', async () => {
    const { containerMode } = Values.parse(await read('arc/docker.yaml'));
    assert.equal(containerMode.type, 'dind');
  });

  test('say without one where the pod of a job has its GPU from', async () => {
    const { containerMode, template } = Values.parse(await read('arc/kubernetes.yaml'));
    assert.equal(containerMode.type, 'kubernetes');
    const [{ env, volumeMounts }] = template.spec.containers;
    const [mount] = volumeMounts;
    const [volume] = template.spec.volumes;
    const { metadata, data } = ConfigMap.parse(await read('arc/job-pod.yaml'));
    assert.deepEqual([mount?.name, volume?.configMap.name], [volume?.name, metadata.name]);
    const [[file = '', text = ''] = []] = Object.entries(data);
    assert.deepEqual(env, [
      { name: 'ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE', value: `${mount?.mountPath}/${file}` },
    ]);
    JobPod.parse(parse(text));
  });

  test('are for a workflow whose job runs in the image that the suite pins', async () => {
    const { runnerScaleSetName } = Values.parse(await read('arc/kubernetes.yaml'));
    const Job = z.object({ 'runs-on': z.string(), container: z.string() });
    const { jobs } = z.object({ jobs: z.object({ check: Job }) }).parse(await read('workflows/arc.yml'));
    const { runtime } = z
      .object({ runtime: z.object({ image: z.string() }) })
      .parse(await read('determinism.yml'));
    assert.deepEqual(jobs.check, { 'runs-on': runnerScaleSetName, container: runtime.image });
  });
});
