// What did the person who typed `npm start -- ...` ask for?

export const usage = `Usage: npm start [-- OPTIONS]

Starts the local yard in the foreground: Redis with replicas and Sentinels, all services, demo back ends.

  --backends N   how many demo back ends to start (0 to 50, default 3)
  --ephemeral    keep nothing: data goes to a temporary folder that is removed at the end
  -h, --help     this text

Environment: SWITCHYARD_HOME (default .switchyard), SWITCHYARD_PORT_OFFSET=N shifts all ports (a second yard),
SWITCHYARD_REDIS_URL uses that Redis and starts none, SWITCHYARD_REDIS_SERVER names the redis-server to start,
SWITCHYARD_<PART>_PORT one port (docs: CONTRIBUTING.md).`;

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
