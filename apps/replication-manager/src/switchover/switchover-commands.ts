// How is a command of the switchover's machine carried out, and what came of it?
import { redisProbeKey } from '@switchyard/protocol';
import { applicationClients, type SwitchoverCommand, type SwitchoverInput } from '@switchyard/replication';
import { RedisNodeError, type RedisNodeAdmin } from '@switchyard/redis';
import type { Contacts } from './switchover-contacts.ts';

const probeTtlMs = 10_000;
/** Of more clients than this all connections are closed at once, Sentinels' too: they come back by themselves. */
const mostKilledSingly = 500;

/** Resolves with the answer to feed back, never rejects. `lost`: it may have been carried out or not. */
export const carryOut = async (
  contacts: Contacts,
  command: SwitchoverCommand,
): Promise<Extract<SwitchoverInput, { type: 'answer' }>> => {
  const { key } = command;
  try {
    const hand = contacts.hand(command.at, command.to);
    if (command.type === 'kill-clients') await killApplications(hand);
    else if (command.type === 'probe') await probe(hand);
    else {
      const [name = '', ...words] = command.words;
      await hand.call(name, ...words);
    }
    return { type: 'answer', key, outcome: 'ok', detail: '' };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const isRefused = error instanceof RedisNodeError && error.kind === 'refused';
    return { type: 'answer', key, outcome: isRefused ? 'refused' : 'lost', detail };
  }
};

const killApplications = async (hand: RedisNodeAdmin): Promise<void> => {
  const ids = applicationClients(String(await hand.call('CLIENT', 'LIST')));
  if (ids.length > mostKilledSingly) {
    await hand.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await hand.call('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes');
    return;
  }
  for (const id of ids) await hand.call('CLIENT', 'KILL', 'ID', id);
};

const probe = async (hand: RedisNodeAdmin): Promise<void> => {
  await hand.probeWrite(redisProbeKey, probeTtlMs);
  const read = await hand.call('GET', redisProbeKey);
  if (typeof read !== 'string') throw new RedisNodeError('silent', 'what was written could not be read');
};
