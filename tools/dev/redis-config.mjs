// What do the files say that Redis and Sentinel write for themselves? Parsing and writing of redis.conf, sentinel.conf.

const loopback = '127.0.0.1';

// Lines of these settings are written anew at every start; any other line that Redis or an operator left is kept.
const ownedByYard = new Set(
  `port bind dir daemonize logfile protected-mode appendonly appendfsync save maxmemory-policy repl-backlog-size
  repl-diskless-sync repl-diskless-sync-delay replica-announce-ip replica-announce-port slave-announce-ip
  slave-announce-port replicaof slaveof latency-tracking-info-percentiles cluster-enabled cluster-config-file cluster-port
  cluster-node-timeout cluster-announce-ip cluster-require-full-coverage`.split(/\s+/),
);

/** What a node's own redis.conf says about it: whom it follows (undefined: it is a primary). */
export function parseRedisConf(text) {
  const lines = configLines(text);
  const replica = lines.find(([word]) => word === 'replicaof' || word === 'slaveof');
  const replicaOf = replica && replica[1] !== 'no' ? { host: replica[1], port: Number(replica[2]) } : undefined;
  return { replicaOf, kept: keptLines(text, ([word]) => !ownedByYard.has(word)) };
}

/**
 * A node's redis.conf. Writable and in the node's own folder: at a failover Sentinel makes Redis rewrite it, and that
 * is how a node remembers its role. With `busPort` it is a node of a Redis Cluster, which remembers its role in nodes.conf.
 */
export function renderRedisConf({ port, directory, replicaOf, busPort, kept = [] }) {
  return asText([
    `port ${port}`,
    `bind ${loopback}`,
    'protected-mode yes',
    'daemonize no',
    `dir ${quoted(directory)}`,
    'appendonly yes',
    'appendfsync everysec',
    'save 3600 1 300 100 60 10000',
    'maxmemory-policy noeviction',
    'repl-backlog-size 64mb',
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    `replica-announce-ip ${loopback}`,
    `replica-announce-port ${port}`,
    ...(replicaOf === undefined ? [] : [`replicaof ${loopback} ${replicaOf}`]),
    ...(busPort === undefined ? [] : clusterLines(busPort)),
    ...kept,
  ]);
}

function clusterLines(busPort) {
  return [
    'cluster-enabled yes',
    'cluster-config-file nodes.conf',
    `cluster-port ${busPort}`,
    `cluster-announce-ip ${loopback}`,
    'cluster-node-timeout 1000',
    // The keys of Switchyard are in one slot: the loss of another shard must not stop it.
    'cluster-require-full-coverage no',
  ];
}

/** What a Sentinel last knew: its id, whom it held for the primary, and in which epoch. */
export function parseSentinelConf(text, group) {
  const lines = configLines(text).filter(([word]) => word === 'sentinel');
  const find = (name) => lines.find((line) => line[1] === name && (line[2] === group || line.length === 3));
  const number = (line, index) => Number(line?.[index] ?? 0) || 0;
  const monitor = find('monitor');
  return {
    myid: find('myid')?.[2],
    primary: monitor && { host: monitor[3], port: Number(monitor[4]) },
    configEpoch: number(find('config-epoch'), 3),
    leaderEpoch: number(find('leader-epoch'), 3),
    currentEpoch: number(find('current-epoch'), 2),
    kept: keptLines(text, (words) => !isOwnSentinelLine(words, group)),
  };
}

function isOwnSentinelLine(words, group) {
  if (words[0] !== 'sentinel') return ownedByYard.has(words[0]);
  return words[2] === group || ['myid', 'current-epoch', 'announce-ip', 'announce-port'].includes(words[1]);
}

/**
 * A Sentinel's sentinel.conf: whole knowledge of the group from the start, so that no greeting has to be waited for.
 * `replicas` and the ports are numbers, `others` are `{ port, myid }` of the other Sentinels.
 */
export function renderSentinelConf({ group, port, directory, myid, primary, replicas, others, epochs, kept = [] }) {
  return asText([
    `port ${port}`,
    `bind ${loopback}`,
    'protected-mode yes',
    'daemonize no',
    `dir ${quoted(directory)}`,
    `sentinel announce-ip ${loopback}`,
    `sentinel announce-port ${port}`,
    `sentinel myid ${myid}`,
    `sentinel monitor ${group} ${loopback} ${primary} 2`,
    `sentinel down-after-milliseconds ${group} 1000`,
    // The default of 180 s would block the next attempt for six minutes after one that failed.
    `sentinel failover-timeout ${group} 15000`,
    `sentinel parallel-syncs ${group} 1`,
    `sentinel config-epoch ${group} ${epochs.config}`,
    `sentinel leader-epoch ${group} ${epochs.leader}`,
    `sentinel current-epoch ${epochs.current}`,
    ...replicas.map((replica) => `sentinel known-replica ${group} ${loopback} ${replica}`),
    ...others.map((other) => `sentinel known-sentinel ${group} ${loopback} ${other.port} ${other.myid}`),
    ...kept,
  ]);
}

function configLines(text) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/\s+/).map((word, index) => (index === 0 ? word.toLowerCase() : word)));
}

function keptLines(text, isKept) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#') && isKept(line.split(/\s+/)));
}

function asText(lines) {
  return `${lines.join('\n')}\n`;
}

function quoted(path) {
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
