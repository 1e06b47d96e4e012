// Which agents hold a connection to this registry, and what follows from it? A beat moves the deadline, an end without a goodbye
// raises a doubt, and what happens to the instance is told to its agent at once.
import type { Upgrade } from '@switchyard/http';
import { livenessPath, livenessProtocol, memberOf } from '@switchyard/protocol';
import type { Instance, LivenessReply } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import { createTicker } from '@switchyard/runtime';
import type { Clock, Component, Gauge, Logger } from '@switchyard/runtime';
import type { HeartbeatBatch } from './heartbeat-batch.ts';
import { openLivenessConnection } from './liveness-connection.ts';
import type { LivenessConnection, LivenessEvents } from './liveness-connection.ts';
import type { LivenessDoubts } from './liveness-doubts.ts';
import type { LivenessLoads } from './liveness-loads.ts';

export interface LivenessSessions extends Component {
  /** For the listener. */
  readonly upgrade: Upgrade;
}

const LOOK_EVERY_MS = 500;
/** Times to live without a line after which a connection is ended: deadlines judge by then. */
const SILENT_TTLS = 3;
/** Three times the shortest time to live. */
const SHORTEST_SILENCE_MS = 1_500;
/** For those that are not in the catalog (yet), or have not said who they are. */
const UNKNOWN_SILENCE_MS = 10_000;

/** The sessions of this registry. Nothing is opened here: `upgrade` goes to the listener. */
export function createLivenessSessions(options: {
  readonly feed: CatalogFeed;
  readonly beats: HeartbeatBatch;
  readonly loads: LivenessLoads;
  readonly doubts: LivenessDoubts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly open: Gauge;
}): LivenessSessions {
  const { feed, beats, loads, doubts, clock, logger, open } = options;
  const connections = new Set<LivenessConnection>();
  /** The newest connection of each instance. */
  const sessions = new Map<string, { readonly connection: LivenessConnection; told: string }>();
  let draining = false;

  const tellRole = (member: string, instance: Instance | undefined): void => {
    const session = sessions.get(member);
    if (!session || !instance) return;
    const { role, fencingToken } = instance;
    const reply: LivenessReply = { type: 'role', role, ...(fencingToken === undefined ? {} : { fencingToken }) };
    const text = `${role} ${fencingToken ?? ''}`;
    if (session.told === text) return;
    session.told = text;
    session.connection.tell(reply);
  };
  const tellState = (instance: Instance): void => {
    const member = memberOf(instance.service, instance.id);
    if (instance.liveness === 'suspect') {
      sessions.get(member)?.connection.tell({ type: 'suspected', reason: instance.livenessReason ?? 'it was silent' });
    }
    tellRole(member, instance);
  };

  const events: LivenessEvents = {
    hello: (connection, member) => {
      const older = sessions.get(member)?.connection;
      sessions.set(member, { connection, told: '' });
      older?.close();
      // the view of this registry may be behind the registration, so Redis is asked
      beats.add(member, (outcome) => {
        if (outcome === 'unknown') connection.tell({ type: 'unknown' });
        else if (outcome !== 'heard') connection.tell({ type: 'failed', detail: outcome.message.slice(0, 256) });
        else if (sessions.get(member)?.connection === connection) tellRole(member, feed.view.member(member));
      });
    },
    beat: (connection, member, load) => {
      if (load) loads.report(member, load);
      beats.add(member, (outcome) => {
        if (outcome === 'heard') connection.heard();
        else if (outcome === 'unknown') connection.tell({ type: 'unknown' });
        else connection.tell({ type: 'failed', detail: outcome.message.slice(0, 256) });
      });
    },
    over: (connection, how) => {
      connections.delete(connection);
      open.set(connections.size);
      const member = connection.member();
      if (member === undefined || sessions.get(member)?.connection !== connection) return;
      sessions.delete(member);
      if (how === undefined || draining) return;
      const instance = feed.view.member(member);
      if (instance && instance.liveness !== 'dead') doubts.raise(member, how);
    },
  };

  const look = (): Promise<void> => {
    const nowMs = clock.monotonicMs();
    for (const connection of connections) {
      // most were heard a moment ago, and need no further look
      if (nowMs - connection.heardAtMs() < SHORTEST_SILENCE_MS) continue;
      const instance = feed.view.member(connection.member() ?? '');
      const patienceMs = instance ? SILENT_TTLS * instance.ttlMs : UNKNOWN_SILENCE_MS;
      if (nowMs - connection.heardAtMs() > patienceMs) connection.close('nothing was heard for too long');
    }
    return Promise.resolve();
  };
  const ticker = createTicker({ name: 'liveness', everyMs: LOOK_EVERY_MS, run: look, clock, logger });
  let stopListening: (() => void) | undefined;

  return {
    name: 'liveness',
    async start(signal) {
      stopListening = feed.listen((news) => {
        if (news.type === 'reset') {
          for (const member of sessions.keys()) {
            const instance = news.view.member(member);
            if (instance) tellState(instance);
          }
          return;
        }
        const { data } = news.event;
        // an activation changes the roles of several at once
        const concerned = 'instance' in data ? [data.instance] : 'instances' in data ? data.instances : [];
        for (const { service, id } of concerned) {
          const instance = news.view.instance(service, id);
          if (instance) tellState(instance);
        }
      });
      await ticker.start(signal);
    },
    async stop() {
      stopListening?.();
      await ticker.stop();
    },
    upgrade: {
      path: livenessPath,
      protocol: livenessProtocol,
      accept: (socket, early) => {
        const nowMs = (): number => clock.monotonicMs();
        connections.add(openLivenessConnection(socket, { early, events, nowMs }));
        open.set(connections.size);
      },
      drain: () => {
        draining = true;
        for (const connection of connections) connection.close();
      },
    },
  };
}
