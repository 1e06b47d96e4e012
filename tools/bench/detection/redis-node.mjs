// The Redis of one harness: a process that can be stopped, emptied, killed and started again on its port.
import { ask as askRedis } from '../../dev/resp.mjs';
import { freePorts } from '../free-ports.mjs';
import { until } from '../waiting.mjs';

/** Starts one on a free port, without persistence. */
export async function startRedisNode(bench, { program, folder }) {
  const [port] = await freePorts(1);
  const words = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  let node;
  const ask = (command, ms) => askRedis(port, command, ms);
  const start = async () => {
    node = await bench.processes.start({ name: 'redis', command: program, args: words.map(String) });
    await until(async () => (await ask(['PING'])) === 'PONG', { what: 'redis answers', everyMs: 5 });
  };
  await start();
  return {
    port,
    ask,
    pid: () => node.pid,
    freeze: () => node.signal('SIGSTOP'),
    resume: () => node.signal('SIGCONT'),
    flush: () => ask(['FLUSHALL']),
    /** Killed, and started again with nothing in it. */
    async restartEmpty() {
      node.kill();
      await node.ended;
      await start();
    },
    stop: () => node.stop(1_000),
  };
}

/** The number in a line of INFO. */
export async function infoNumber(redis, section, field) {
  const text = await redis.ask(['INFO', section]);
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(text)?.[1]);
}
