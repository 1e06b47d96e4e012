// What does a node of a Redis Cluster know before anybody has greeted it? nodes.conf: written for a new cluster, read and
// moved to other ports for an existing one (format: clusterLoadConfig in cluster.c of Redis).
//
// A new cluster gets its whole knowledge by file, as the Sentinels do: ids, slots, replicas. Nothing has to be met, so a
// first start cannot be caught half way between greetings.

const loopback = '127.0.0.1';
const slots = 16_384;

/** The address as nodes.conf has it: data port and port of the cluster bus. */
const addressOf = ({ port, busPort }) => `${loopback}:${port}@${busPort}`;

/**
 * The nodes.conf of the node `name` in a new cluster. `members`: `{ name, id, port, busPort }`, primaries first; the first
 * half owns all slots, the second half follows the first, one each. Config epochs are 1, 2, 3, ...: no two alike.
 */
export function renderNodesConf(name, members) {
  const primaries = members.length / 2;
  const lines = members.map((member, index) => {
    const myself = member.name === name ? 'myself,' : '';
    const start = `${member.id} ${addressOf(member)}`;
    if (index >= primaries) {
      return `${start} ${myself}slave ${members[index - primaries].id} 0 0 ${index - primaries + 1} connected`;
    }
    const from = Math.floor((index * slots) / primaries);
    const to = Math.floor(((index + 1) * slots) / primaries) - 1;
    return `${start} ${myself}master - 0 0 ${index + 1} connected ${from}-${to}`;
  });
  return `${lines.join('\n')}\nvars currentEpoch ${primaries} lastVoteEpoch 0\n`;
}

/** The same knowledge with other addresses. `moves`: `{ from, to }`, each `{ port, busPort }`. */
export function moveNodes(text, moves) {
  const found = new Map(moves.map(({ from, to }) => [addressOf(from), addressOf(to)]));
  return eachLine(text, (words) => {
    const [address = '', ...names] = words[1]?.split(',') ?? [];
    const moved = found.get(address);
    return moved === undefined ? words : [words[0], [moved, ...names].join(','), ...words.slice(2)];
  });
}

/**
 * The same knowledge without the address of a node whose files are lost. Whoever starts there is somebody else, and empty: a
 * replica asks for data by address, not by id, and would copy the emptiness (tried on 7.0.15).
 */
export function forgetAddress(text, at) {
  const lost = addressOf(at);
  return eachLine(text, ([id, address = '', flags = '', ...rest]) => {
    const isLost = address.split(',')[0] === lost && !flags.split(',').includes('myself');
    return isLost
      ? [id, ':0@0', flags.includes('noaddr') ? flags : `${flags},noaddr`, ...rest]
      : [id, address, flags, ...rest];
  });
}

function eachLine(text, change) {
  return text
    .split('\n')
    .map((line) => (line === '' || line.startsWith('vars ') ? line : change(line.split(' ')).join(' ')))
    .join('\n');
}

/**
 * The nodes that a nodes.conf, or an answer to CLUSTER NODES, names: `{ id, port, isMyself, isPrimary, isFailed, follows,
 * epoch, slots }`; `slots` are the ranges as `[from, to]` (slots that are on the move are not among them).
 */
export function parseNodes(text) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('vars '))
    .map((line) => {
      const [id, address = '', flagWords = '', follows, , , epoch, , ...ranges] = line.split(' ');
      const flags = new Set(flagWords.split(','));
      return {
        id,
        port: Number(/:(\d+)/.exec(address)?.[1] ?? 0),
        isMyself: flags.has('myself'),
        isPrimary: flags.has('master'),
        // pfail is written as "fail?"
        isFailed: flags.has('fail') || flags.has('fail?') || flags.has('noaddr'),
        follows: follows === '-' ? undefined : follows,
        epoch: Number(epoch),
        slots: ranges.flatMap((range) => {
          const found = /^(\d+)(?:-(\d+))?$/.exec(range);
          return found ? [[Number(found[1]), Number(found[2] ?? found[1])]] : [];
        }),
      };
    });
}

/** How many of the 16,384 slots have an owner that has not failed. */
export function coveredSlots(nodes) {
  let covered = 0;
  for (const { isPrimary, isFailed, slots: ranges } of nodes) {
    if (isPrimary && !isFailed) for (const [from, to] of ranges) covered += to - from + 1;
  }
  return covered;
}

/** The node that owns the slot, in the highest config epoch of all these views; undefined without one. */
export function ownerOfSlot(slot, views) {
  return views
    .flat()
    .filter(({ isPrimary, slots: ranges }) => isPrimary && ranges.some(([from, to]) => slot >= from && slot <= to))
    .toSorted((a, b) => b.epoch - a.epoch)[0];
}
