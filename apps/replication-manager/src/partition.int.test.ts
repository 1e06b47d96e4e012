// Does a group with a manager heal when the network between real network stacks was cut? All cuts: tools/chaos/redis-partition.mjs.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

const tool = fileURLToPath(new URL('../../../tools/chaos/redis-partition.mjs', import.meta.url));
const outcomesSchema = z.array(
  z.object({
    failedOver: z.boolean(),
    farAcked: z.number(),
    healedMs: z.number().optional(),
    wrong: z.array(z.string()),
  }),
);

/** Why nothing can be tried here; who is root on Linux is expected to be able to, and fails with the tool's advice when not. */
const excuse = (): string | undefined => {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (process.env['SWITCHYARD_TEST_NAMESPACES'] === 'off') return 'SWITCHYARD_TEST_NAMESPACES=off says so';
  return undefined;
};

describe('a group whose primary is cut off together with a client', () => {
  it('gets another primary on the side of the majority, and is one group again when the cut is mended', async () => {
    const why = excuse();
    if (why !== undefined) {
      process.stderr.write(`\n*** NOT TRIED: partitions of the network, because ${why}. Run as root: node ${tool}\n\n`);
      return;
    }
    const words = [tool, 'client-with-primary', '--manager', 'with', '--seconds', '6', '--json'];
    const ran = await promisify(execFile)(process.execPath, words, { timeout: 110_000 }).catch((error: unknown) => {
      const said = error as { readonly stdout?: string; readonly stderr?: string };
      throw new Error(
        `Partitions could not be tried, or went wrong:\n${said.stdout ?? ''}\n${said.stderr ?? String(error)}\n` +
          'Where namespaces cannot be had (a container without CAP_NET_ADMIN and CAP_SYS_ADMIN), set SWITCHYARD_TEST_NAMESPACES=off.',
        { cause: error },
      );
    });
    const [outcome] = outcomesSchema.parse(JSON.parse(ran.stdout));
    expect(outcome).toMatchObject({ failedOver: true, wrong: [] });
    expect(outcome?.healedMs).toBeGreaterThanOrEqual(0);
    expect(outcome?.farAcked).toBeGreaterThan(0);
  }, 120_000);
});
