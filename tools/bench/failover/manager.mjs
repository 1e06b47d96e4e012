// The replication-manager beside a group: what makes a stock group one of Switchyard's.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../../dev/problem.mjs';
import { freePorts } from '../free-ports.mjs';
import { ask, until } from '../waiting.mjs';
import { groupName } from './redis-group.mjs';

const readyMs = 20_000;
let started = 0;

/** Starts it and resolves when it manages the group and calls it healthy. */
export async function startManager(bench, group) {
  const [port] = await freePorts(1);
  const stateDir = join(bench.directory, `manager-${(started += 1)}`);
  mkdirSync(stateDir, { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  const groupUrl = `${url}/v1/redis/groups/${groupName}`;
  const process = await bench.processes.start({
    name: 'replication-manager',
    command: bench.node,
    args: ['--disable-warning=ExperimentalWarning', join(bench.root, 'apps/replication-manager/src/main.ts')],
    cwd: bench.root,
    env: {
      PATH: globalThis.process.env.PATH,
      SWITCHYARD_REPLICATION_PORT: String(port),
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REDIS_GROUP: groupName,
      SWITCHYARD_REPLICATION_NODE_NAMES: group.nodes.map((one) => `${one.name}=127.0.0.1:${one.knownPort}`).join(','),
      SWITCHYARD_STATE_DIR: stateDir,
      SWITCHYARD_LOG_LEVEL: 'info',
    },
  });
  const call = async (path, { method = 'POST', body = {}, ms = 5_000 } = {}) => {
    const answer = await ask(path.startsWith('/') ? `${url}${path}` : `${groupUrl}/${path}`, {
      method,
      ms,
      ...(method === 'GET' ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    return { ...answer, json: answer.body === '' ? undefined : JSON.parse(answer.body) };
  };
  const look = async () => JSON.parse((await ask(groupUrl)).body);
  const manager = {
    process,
    group: look,
    call,
    /** Starts work that takes long and resolves with its operation when it has ended well. */
    async operate(path, body, ms = 60_000) {
      const begun = await call(path, { body });
      if (begun.status !== 202) throw new Problem(`POST ${path}: ${begun.status} ${begun.body.slice(0, 400)}`);
      const where = begun.headers.get('location');
      const operation = await until(
        async () => {
          const { json } = await call(where, { method: 'GET' });
          return ['succeeded', 'failed', 'cancelled', 'undone'].includes(json.state) ? json : undefined;
        },
        { what: `the end of ${where}`, ms, everyMs: 20 },
      );
      if (operation.state !== 'succeeded') throw new Problem(`${path}: ${JSON.stringify(operation).slice(0, 600)}`);
      return operation;
    },
    output: () => process.output().slice(-4_000),
  };
  try {
    await until(async () => (await ask(`${url}/readyz`)).status === 200, { what: 'the manager is ready', ms: readyMs });
    await until(async () => (await look()).nodes.length === group.nodes.length, {
      what: 'it sees all nodes',
      ms: readyMs,
    });
  } catch (error) {
    throw new Problem(`${error.message}\n${process.output().slice(-1_500)}`);
  }
  return manager;
}
