// Which numbers of the bench `dispatch` are to be reached?

const nodePeers = ['http-proxy', 'http-proxy-3', 'httpxy', 'reply-from'];

/**
 * `got(value)` gives the number, undefined when something it needs was not measured; `value(work, peer, key)` is a median.
 * `most` and `least` are the limits.
 */
export const dispatchGoals = [
  against('p99 of quick answers among slow ones, to the same without shared connections', {
    peer: 'ours',
    most: 1.2,
    number: ['mixed', 'fastP99Ms'],
    to: 'ours-unshared',
  }),
  ...['ours', 'ours-dispatcher'].flatMap(goalsOf),
];

function goalsOf(peer) {
  return [
    against('CPU a request, small GET at 1,000/s, to the best Node peer', {
      peer,
      most: 0.35,
      number: ['small', 'fixedCpuUs'],
      to: (value) => least(nodePeers.map((name) => value('small', name, 'fixedCpuUs'))),
    }),
    against('CPU a request, small GET at 1,000/s, to Caddy', {
      peer,
      most: 0.6,
      number: ['small', 'fixedCpuUs'],
      to: 'caddy',
    }),
    against('CPU a request, small GET at 1,000/s, to HAProxy', {
      peer,
      most: 2,
      number: ['small', 'fixedCpuUs'],
      to: 'haproxy',
    }),
    against('CPU a request, saturated, to HAProxy', {
      peer,
      most: 1,
      number: ['lean', 'saturatedCpuUs'],
      to: 'haproxy',
    }),
    against('CPU a request, saturated, to NGINX', { peer, most: 1, number: ['lean', 'saturatedCpuUs'], to: 'nginx' }),
    against('whole-system throughput with origins on node:http, to HAProxy', {
      peer,
      least: 1.3,
      number: ['small', 'saturatedPerSecond'],
      to: 'haproxy',
    }),
    against('p99 at half load, to HAProxy', { peer, most: 1.5, number: ['small', 'halfP99Ms'], to: 'haproxy' }),
    against('throughput of 100 kB answers, to HAProxy', {
      peer,
      least: 0.7,
      number: ['large', 'saturatedPerSecond'],
      to: 'haproxy',
    }),
    { text: `${peer}: KiB for an idle client`, most: 30, got: (value) => value('memory', peer, 'idleKiB') },
    {
      text: `${peer}: KiB for a client that does not read`,
      most: 256,
      got: (value) => value('memory', peer, 'slowKiB'),
    },
  ];
}

/** A ratio of our number to somebody else's. */
function against(text, { peer, most, least: atLeast, number: [work, key], to }) {
  const got = (value) => {
    const other = typeof to === 'function' ? to(value) : value(work, to, key);
    const own = value(work, peer, key);
    return own === undefined || other === undefined ? undefined : own / other;
  };
  return { text: `${peer}: ${text}`, most, least: atLeast, got };
}

function least(values) {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
