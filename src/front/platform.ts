import { UserError } from '../errors.ts';

/**
 * Engines, their isolation and the harness's facts of the machine are Linux's. What only reads records runs anywhere.
 * @throws UserError `platform-unsupported`
 */
export function refusePlatform(platform: NodeJS.Platform): void {
  if (platform === 'linux') return;
  const name = { win32: 'Windows', darwin: 'macOS' }[platform as string] ?? platform;
  throw new UserError(
    'platform-unsupported',
    `An engine is started on Linux only, and this machine runs ${name}.`,
    'Use a runner with Linux; WSL 2 or a Linux machine elsewhere will do. `verify`, `report` and `log` run anywhere.',
  );
}
