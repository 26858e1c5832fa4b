import { type EngineSpec, type Foundation, flag } from './spec.ts';

/** What engines of ours that compute with PyTorch have alike; in docker/harness it is common/pytorch.py. */
export const PYTORCH = {
  args: {
    seed: 0,
    // PyTorch then takes algorithms that repeat, and warns where it has none.
    deterministic_algorithms: true,
    // Rounds matrix products to 10 bits on some cards and not on others.
    allow_tf32: false,
  },
  environment: {
    PYTHONHASHSEED: '0',
    // cuBLAS reads it when it starts: with it, a product is the same each time.
    CUBLAS_WORKSPACE_CONFIG: ':4096:8',
  },
} as const satisfies Pick<EngineSpec, 'args' | 'environment'>;

/** @param told under which name the running engine tells it */
export const repeatingAlgorithms = (told = 'deterministic_algorithms'): Foundation => ({
  name: 'deterministic_algorithms: true',
  isAsked: ({ deterministic_algorithms: asked }) => asked === true,
  isInForce: ({ [told]: inForce }) => flag(inForce),
});
