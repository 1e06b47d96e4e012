// What does a server say about itself that is to become a replica? Asked once, over a connection of its own; nothing is changed.
import { parseInfo, parseSettings, parseVitals, type AddCandidate, type Endpoint } from '@switchyard/replication';
import type { RedisNodeAdmin } from '@switchyard/redis';
import type { GroupTools } from '../group-part.ts';
import { failureOf, readSettings } from '../watched-node.ts';

const questionMs = 2_000;
const greetings = '__sentinel__:hello';

/** Asks the server at `at`. Never rejects: why it could not be asked is in the answer. */
export const surveyCandidate = async (tools: GroupTools, at: Endpoint): Promise<AddCandidate> => {
  const admin = tools.connect(at, { deadlineMs: questionMs, name: 'switchyard-survey' });
  try {
    const text = await admin.info();
    const [settings, sentinels, samePassword] = await Promise.all([
      readSettings(admin).catch(() => null),
      listeners(admin),
      hasPassword(admin, tools.definition.settings.password),
    ]);
    return { at, failure: null, info: parseInfo(text), vitals: parseVitals(text), settings, sentinels, samePassword };
  } catch (error) {
    const nothing = { info: null, vitals: null, settings: parseSettings(null), sentinels: null, samePassword: null };
    return { at, failure: failureOf(error), ...nothing };
  } finally {
    admin.close();
  }
};

/** Each Sentinel that watches a server listens to the others there. */
const listeners = async (admin: RedisNodeAdmin): Promise<number | null> => {
  const reply = await admin.call('PUBSUB', 'NUMSUB', greetings).catch(() => null);
  return Array.isArray(reply) ? Number(reply[1]) : null;
};

const hasPassword = async (admin: RedisNodeAdmin, password: string | undefined): Promise<boolean | null> => {
  if (password === undefined) return null;
  const own = await admin.configGet('requirepass').catch(() => undefined);
  return own === undefined ? null : own === password;
};
