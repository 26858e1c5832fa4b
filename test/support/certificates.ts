import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** Of an authority, and of a server on the loopback device that it vouches for. */
export interface Certificates {
  /** `ca.pem`, and a client's `cert.pem` and `key.pem`. */
  readonly folder: string;
  readonly ca: Buffer;
  readonly server: Buffer;
  readonly serverKey: Buffer;
}

/** An authority, a server and a client of its own. */
export async function certificates(parent: string, name: string): Promise<Certificates> {
  const folder = join(parent, name);
  await mkdir(folder);
  const openssl = (...args: string[]) => execa('openssl', args, { cwd: folder });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(
    'req',
    '-x509',
    ...ec,
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca.pem',
    '-subj',
    `/CN=${name}`,
    '-days',
    '1',
  );
  for (const [key, cert] of [
    ['server-key.pem', 'server.pem'],
    ['key.pem', 'cert.pem'],
  ] as const)
    await openssl(
      ...['req', '-x509', ...ec, '-keyout', key, '-out', cert, '-subj', '/CN=127.0.0.1', '-days', '1'],
      ...['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    );
  const [ca, server, serverKey] = (await Promise.all(
    ['ca.pem', 'server.pem', 'server-key.pem'].map((file) => readFile(join(folder, file))),
  )) as [Buffer, Buffer, Buffer];
  return { folder, ca, server, serverKey };
}
