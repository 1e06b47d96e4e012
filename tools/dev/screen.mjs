// What does the person at the terminal see? Few lines: npm prints four of its own, and twelve in all is the limit.
import { relative } from 'node:path';

/** The lines when everything works. `breakable`: pids of a back end and of the Redis primary. */
export function readyLines({ seconds, backends, redis, ports, home, cwd, ephemeral, breakable, colour }) {
  const bold = (text) => (colour ? `\u001B[1m${text}\u001B[0m` : text);
  const url = (port, path = '') => `http://127.0.0.1:${port}${path}`;
  const nearby = relative(cwd, home) || '.';
  const place = nearby.startsWith('..') ? home : nearby;
  const data = ephemeral ? `${place}, forgotten at the end` : `${place}, kept`;
  return [
    `${bold('Switchyard is up')} after ${seconds.toFixed(1)} s: 6 services, ${backends} demo back end${backends === 1 ? '' : 's'}, ${redis}`,
    `  traffic  ${bold(url(ports.traffic))}  try: curl ${url(ports.traffic, '/whoami')}`,
    `  control  ${bold(url(ports.control))}  try: curl ${url(ports.control, '/v1/services')}`,
    `  data     ${data}; logs in ${place}/logs`,
    ...(breakable.length === 0
      ? []
      : [`  break it ${breakable.map(({ what, pid }) => `kill -9 ${pid} (${what})`).join('  or  ')}`]),
    '  stop     Ctrl-C. Loopback only, no authentication: do not open these ports to a network.',
  ];
}

/** The lines when the deadline is over and something is still missing. */
export function notReadyLines({ seconds, missing, home }) {
  const shown = missing.slice(0, 6).map((text) => `  ${text}`);
  const more = missing.length > shown.length ? [`  and ${missing.length - shown.length} more`] : [];
  return [`Not ready after ${seconds} s, still trying (logs: ${home}/logs):`, ...shown, ...more];
}
