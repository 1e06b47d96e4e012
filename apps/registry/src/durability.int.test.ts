// Does a registry that is told to say so only when a replica has it really do that, and does it say what is known otherwise?
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

const path = '/v1/services/shop/instances/a';
const input = { url: 'http://10.0.0.5:3000' };

describe('a registry with the durability replicated', () => {
  let primary: TestRedis;
  let replica: TestRedis;
  let registry: TestRegistry;
  beforeEach(async () => {
    primary = await startRedis();
    replica = await startRedis({ replicaOf: primary });
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
      timeoutMs: 15_000,
    });
    registry = await startRegistry(primary.port, { durability: 'replicated' });
  });
  afterEach(async () => {
    replica.resume();
    await registry.stop();
    await replica.stop();
    await primary.stop();
  });

  it('answers when a replica has the change, and 503 with what is known while none gets it, also to the same request again', async () => {
    await registry.api.put(path).send(input).expect(201);
    await registry.api.patch(path).send({ weight: 2 }).expect(200);
    replica.freeze();

    for (const send of [
      () => registry.api.put(path).send({ ...input, weight: 3 }),
      // nothing to change by now, and still nobody else who has it
      () => registry.api.put(path).send({ ...input, weight: 3 }),
      () => registry.api.patch(path).send({ weight: 4 }),
      () => registry.api.delete(path),
    ]) {
      const problem = problemIn(await send());
      expect(problem).toMatchObject({
        status: 503,
        code: 'not_replicated',
        why: [expect.stringMatching(/^0 of 1 replicas/)],
      });
      expect(problem.detail).toMatch(/may be there or not/);
    }

    replica.resume();
    // the delete was carried out, which was not known
    await eventually(async () => expect((await registry.api.put(path).send(input)).status).toBe(201));
    await registry.api.delete(path).expect(204);
  });
});
