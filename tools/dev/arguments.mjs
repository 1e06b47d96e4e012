// What did the person who typed `npm start -- ...` ask for?

export const usage = `Usage: npm start [-- OPTIONS]

Starts the local yard in the foreground: Redis with replicas and Sentinels (or a Redis Cluster), all services, demo back ends.

  --backends N   how many demo back ends to start (0 to 50, default 3)
  --ephemeral    keep nothing: data goes to a temporary folder that is removed at the end
  -h, --help     this text

Environment:
  SWITCHYARD_HOME           where data and logs lie (default .switchyard)
  SWITCHYARD_PORT_OFFSET    is added to every port of the contract: a second yard beside the first
  SWITCHYARD_REDIS_KIND     sentinel (the default), or cluster: a Redis Cluster of six nodes
  SWITCHYARD_REDIS_URL      a Redis that runs already; none is started
  SWITCHYARD_REDIS_SERVER   the redis-server to start, 7 or newer
  one port                  SWITCHYARD_DISPATCHER_TRAFFIC_PORT, SWITCHYARD_DISPATCHER_CONTROL_PORT,
                            SWITCHYARD_{REGISTRY,MONITOR,MONITOR_2,DISPATCHER,REPLICATION,BACKUP}_PORT
  several                   SWITCHYARD_REDIS_PORTS=a,b,c  SWITCHYARD_SENTINEL_PORTS=a,b,c  SWITCHYARD_DEMO_PORT (first)`;

/**
 * Reads the command line of `npm start`.
 * @returns {{ kind: 'run', backends: number, ephemeral: boolean } | { kind: 'help' } | { kind: 'wrong', why: string }}
 */
export function readArguments(words) {
  const wanted = { kind: 'run', backends: 3, ephemeral: false };
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index];
    if (word === '--help' || word === '-h') return { kind: 'help' };
    if (word === '--ephemeral') {
      wanted.ephemeral = true;
      continue;
    }
    const count = /^--backends(?:=(.*))?$/.exec(word);
    if (!count) return { kind: 'wrong', why: `Unknown option: ${word}` };
    const text = count[1] ?? words[(index += 1)] ?? '';
    if (!/^\d{1,2}$/.test(text) || Number(text) > 50) {
      return { kind: 'wrong', why: `--backends takes a whole number from 0 to 50, not "${text}"` };
    }
    wanted.backends = Number(text);
  }
  return wanted;
}
