// Which Redis node starts as the primary? Decided from what the last run left behind, never from a name or a number:
// a stale former primary that is started as primary again would win over the newer data of the true one.

/**
 * `nodes`: `{ name, port, conf, hasData, writtenMs }` with the port of the last run and the parsed redis.conf
 * (undefined when there is none). `sentinels`: parsed sentinel.conf of each Sentinel that has one.
 *
 * Order of trust: the Sentinels' files, the nodes' own files, the newest data, and only on the very first boot (nothing
 * of all that) the first node. A node whose data is gone is never started as an empty primary while another has data:
 * its replicas would copy the emptiness.
 *
 * @returns {{ primary: string, because: string, warning?: string, epoch: number }} `epoch` is the config epoch under
 *   which the Sentinels have to start; it rises when the files are overruled.
 */
export function decidePrimary({ nodes, sentinels }) {
  const epoch = Math.max(0, ...sentinels.map((sentinel) => sentinel.configEpoch));
  const found = fromSentinels(nodes, sentinels) ?? fromNodes(nodes) ?? fromData(nodes);
  if (found === undefined) return { primary: nodes[0].name, because: 'first boot, there is no data yet', epoch };
  if (found.node.hasData || !nodes.some((node) => node.hasData)) {
    return { primary: found.node.name, because: found.because, epoch };
  }
  const heir = newest(nodes);
  return {
    primary: heir.name,
    because: `it has the newest data that is left`,
    warning:
      `${found.node.name} was the primary (${found.because}), but its data is gone. ` +
      `${heir.name} becomes the primary with the data that it has; ${found.node.name} copies it.`,
    epoch: epoch + 1,
  };
}

// The highest config epoch wins, as among Sentinels. Right after a failover a single Sentinel (its leader) may have
// written it down: it is believed if the node itself agrees. A lone voice that the node contradicts is not.
function fromSentinels(nodes, sentinels) {
  const claims = new Map();
  for (const { primary, configEpoch } of sentinels) {
    const node = nodes.find((candidate) => candidate.port === primary?.port);
    if (node === undefined) continue;
    const key = `${configEpoch} ${node.name}`;
    const claim = claims.get(key) ?? { node, configEpoch, votes: 0 };
    claims.set(key, { ...claim, votes: claim.votes + 1 });
  }
  const ranked = [...claims.values()].toSorted((a, b) => b.configEpoch - a.configEpoch || b.votes - a.votes);
  const confirmed = ranked.find(
    ({ node, votes }) => votes * 2 > sentinels.length || (node.conf !== undefined && node.conf.replicaOf === undefined),
  );
  const claim = confirmed ?? ranked[0];
  if (claim === undefined) return undefined;
  const { node, votes, configEpoch } = claim;
  return { node, because: `named by ${votes} of ${sentinels.length} Sentinels in epoch ${configEpoch}` };
}

// Without Sentinel files: the node that most others follow by their own file; then one that follows nobody.
function fromNodes(nodes) {
  const ranked = nodes
    .map((node) => ({
      node,
      followers: nodes.filter((other) => other.conf?.replicaOf?.port === node.port).length,
      leads: node.conf !== undefined && node.conf.replicaOf === undefined,
    }))
    .filter(({ followers, leads }) => followers > 0 || leads)
    .toSorted((a, b) => b.followers - a.followers || Number(b.leads) - Number(a.leads) || newestFirst(a.node, b.node));
  const best = ranked[0];
  if (best === undefined) return undefined;
  const because = best.followers > 0 ? `followed by ${best.followers} nodes' own files` : 'a primary by its own file';
  return { node: best.node, because };
}

function fromData(nodes) {
  const node = newest(nodes);
  return node && { node, because: 'it has the newest data and no file names a primary' };
}

function newest(nodes) {
  return nodes.filter((node) => node.hasData).toSorted(newestFirst)[0];
}

function newestFirst(a, b) {
  return Number(b.hasData) - Number(a.hasData) || b.writtenMs - a.writtenMs;
}
