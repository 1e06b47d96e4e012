// Which port is free? Asked of the operating system, so that suites can run side by side.
import { createServer } from 'node:net';

/**
 * A TCP port on `host` that nobody listened on a moment ago. Somebody else may take it before it is used: whoever
 * starts something on it has to notice that and ask for another one.
 */
export function freePort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen({ port: 0, host, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('The operating system gave no port.'));
      });
    });
  });
}
