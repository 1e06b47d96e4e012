import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Instance } from '@switchyard/protocol';
import { patientProbe } from './patient-probe.ts';

describe('the probe of a monitor', () => {
  it.each(['http', 'tcp'] as const)(
    'asks once more (%s) when only the kernel of a dying process has answered',
    async (type) => {
      // cuts the first connection off, and accepts no other one: as a process does that was killed
      const dying = createServer((socket: Socket) => {
        dying.close();
        socket.resetAndDestroy();
      }).listen(0, '127.0.0.1');
      await once(dying, 'listening');
      const { port } = dying.address() as AddressInfo;
      const instance = { id: 'a', url: `http://127.0.0.1:${port}`, check: { type, path: '/' } } as unknown as Instance;
      expect((await patientProbe(500)(instance, 1)).outcome).toBe('refused');
    },
  );
});
