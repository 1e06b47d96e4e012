// The backup-worker beside a group: started, asked, and what it costs.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../../dev/problem.mjs';
import { groupName } from '../failover/redis-group.mjs';
import { freePorts } from '../free-ports.mjs';
import { ask, until } from '../waiting.mjs';

const never = '30d';
let started = 0;

/** Starts it and resolves when it archives the group and its first data set is proven. */
export async function startWorker(bench, { group, program, patienceMs }) {
  const [port] = await freePorts(1);
  const repository = join(bench.directory, `repository-${(started += 1)}`);
  mkdirSync(repository, { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  const process = await bench.processes.start({
    name: 'backup-worker',
    command: bench.node,
    // As the yard starts it.
    args: [
      '--max-semi-space-size=2',
      '--disable-warning=ExperimentalWarning',
      join(bench.root, 'apps/backup-worker/src/main.ts'),
    ],
    cwd: bench.root,
    env: {
      PATH: globalThis.process.env.PATH,
      MALLOC_ARENA_MAX: '2',
      NODE_COMPILE_CACHE: join(bench.root, '.switchyard', 'cache'),
      SWITCHYARD_BACKUP_PORT: String(port),
      SWITCHYARD_BACKUP_REPOSITORY: repository,
      SWITCHYARD_BACKUP_EVERY: never,
      SWITCHYARD_BACKUP_REHEARSE_EVERY: '0s',
      SWITCHYARD_REDIS_SENTINELS: group.sentinelAddresses,
      SWITCHYARD_REDIS_GROUP: groupName,
      SWITCHYARD_REDIS_SERVER: program,
      SWITCHYARD_LOG_LEVEL: 'info',
    },
  });
  const get = async (path) => {
    const { status, body } = await ask(`${url}${path}`, { ms: 10_000 });
    if (status !== 200) throw new Problem(`GET ${path}: ${status} ${body.slice(0, 300)}`);
    return JSON.parse(body);
  };
  const worker = {
    process,
    repository,
    get,
    /** Starts long work and resolves with its operation when it has ended well. */
    async operate(path, body, ms) {
      const answer = await ask(`${url}${path}`, {
        method: 'POST',
        ms: 30_000,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (answer.status !== 202) throw new Problem(`POST ${path}: ${answer.status} ${answer.body.slice(0, 600)}`);
      const where = answer.headers.get('location');
      const operation = await until(
        async () => {
          const found = await get(where);
          return ['succeeded', 'failed', 'cancelled'].includes(found.state) ? found : undefined;
        },
        { what: `the end of ${where}`, ms, everyMs: 20 },
      );
      if (operation.state !== 'succeeded') throw new Problem(`${path}: ${JSON.stringify(operation).slice(0, 1_500)}`);
      return operation;
    },
    /** A number among the metrics. */
    async metric(name) {
      const { body } = await ask(`${url}/metrics`, { ms: 3_000 });
      return Number(new RegExp(`^switchyard_${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(body)?.[1]);
    },
    /** The most memory that it had at one time, in MB; without the servers that it starts. */
    peakMegabytes() {
      const status = readFileSync(`/proc/${process.pid}/status`, 'utf8');
      return (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1_024) / 1_000_000;
    },
    output: () => process.output().slice(-6_000),
  };
  try {
    const found = await until(
      async () => {
        if (!process.isRunning()) return 'ended';
        const window = await get(`/v1/backups/window?group=${groupName}`);
        return (
          window.continuous && window.points.some(({ state, timeline }) => state === 'verified' && timeline !== null)
        );
      },
      { what: 'the archive has a proven data set', ms: patienceMs, everyMs: 100 },
    );
    if (found === 'ended') throw new Problem('The backup-worker ended.');
  } catch (error) {
    throw new Problem(`${error.message}\n${process.output().slice(-3_000)}`);
  }
  return worker;
}
