// How does a test get a real S3-compatible store of its own? OpenStack Swift with its S3 interface, in one process on a free port, with
// a directory of its own. `npm test` installs it where apt-get is (Debian's python3-swift); without it the tests that need it fail.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { removeAtDeath, startOwned } from './owned-process.ts';

/** A running store. */
export interface TestObjectServer {
  readonly host: string;
  readonly port: number;
  /** http://host:port */
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** The next requests of this method ('*': any) are answered with the status and go no further. */
  fail(status: number, options?: { readonly method?: string; readonly times?: number }): Promise<void>;
  /** The last lines that it wrote. */
  output(): string;
  /** Ends it and removes its directory. May be called twice. */
  stop(): Promise<void>;
}

const host = '127.0.0.1';
const accessKey = 'test:tester';
const secretKey = 'testing';
const startDeadlineMs = 60_000;

/** Starts one and resolves when it answers. Fails when Swift is not installed. Its buckets are made by PUT as always. */
export async function startObjectServer({
  conditional = true,
}: {
  /** Whether it keeps `If-None-Match: *`, as AWS and MinIO do; otherwise it answers 501, as Swift does. */
  readonly conditional?: boolean;
} = {}): Promise<TestObjectServer> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-test-objects-'));
  const forget = removeAtDeath(directory);
  const port = await freePort();
  const script = join(dirname(fileURLToPath(import.meta.url)), 'swift-s3.py');
  // Debian's own Python has Debian's packages, whatever other Python comes first.
  const command = process.env['SWITCHYARD_TEST_PYTHON'] ?? '/usr/bin/python3';
  const args = [script, directory, String(port), accessKey, secretKey, ...(conditional ? ['conditional'] : [])];
  const server = await startOwned({ command, args });
  const stop = async (): Promise<void> => {
    await server.end(0);
    forget();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await eventually(() => server.output().includes('ready') || !server.running(), {
      timeoutMs: startDeadlineMs,
      what: 'Swift that answers',
    });
    if (!server.running()) throw new Error('it ended');
  } catch (error) {
    const said = server.output();
    await stop();
    throw new Error(
      `There is no S3-compatible store to test with: ${said.trim().split('\n').at(-1) ?? ''}. Install it: apt-get install --no-install-recommends python3-swift`,
      { cause: error },
    );
  }
  return {
    host,
    port,
    endpoint: `http://${host}:${port}`,
    accessKey,
    secretKey,
    fail: (status, { method = '*', times = 1 } = {}) =>
      writeFile(join(directory, 'faults'), `${status} ${method} ${times}`),
    output: () => server.output(),
    stop,
  };
}
