#!/bin/sh
# Starts a Sentinel. What it knows (the primary, the others, its epochs and votes) is in /data/sentinel.conf and is kept for ever;
# this script only refreshes settings in it. The first time, the Sentinel watches whoever is the primary, and names nobody itself.
set -eu
. /switchyard/group.sh

conf=/data/sentinel.conf
down_after_ms=${SWITCHYARD_SENTINEL_DOWN_AFTER_MS:-1500}
# Sentinel's default of 180 s would block the next attempt for six minutes after one that failed.
failover_timeout_ms=${SWITCHYARD_SENTINEL_FAILOVER_TIMEOUT_MS:-15000}
grace_s=${SWITCHYARD_SENTINEL_GRACE_S:-30}
quorum=$(($(echo "$sentinels" | wc -w) / 2 + 1))

# The primary as the group itself shows it: a majority of the other Sentinels, or the nodes' roles. Of two primaries (one
# of them a stale one) it is the one that is followed. Nothing while that cannot be told.
find_primary() {
  named=$(named_by_majority)
  if [ -n "$named" ]; then
    echo "$named"
    return
  fi
  claims=''
  for node in $nodes; do
    role=$(role_of "$node")
    if [ "$role" = master ]; then
      claims="$claims$(followers_of "$node") $node
"
    elif [ -z "$role" ] && [ $(($(date +%s) - began)) -lt "$grace_s" ]; then
      # A silent node may be the true primary: it is given time to start.
      return
    fi
  done
  echo "$claims" | grep . | sort -rn |
    awk '{ count[NR] = $1; node[NR] = $2 } END { if (NR == 1 || count[1] > count[2]) print node[1] }'
}

began=$(date +%s)
if [ ! -f "$conf" ]; then
  primary=$(find_primary)
  while [ -z "$primary" ]; do
    say "waiting for the group to have one primary (nodes: $nodes)"
    sleep 0.3
    primary=$(find_primary)
  done
  {
    echo "sentinel monitor $group ${primary%:*} ${primary##*:} $quorum"
    # A node that does not follow the primary now is to be made to: from the primary alone it could not be known.
    for node in $nodes; do
      [ "$node" = "$primary" ] || echo "sentinel known-replica $group ${node%:*} ${node##*:}"
    done
  } >"$conf.new"
  mv "$conf.new" "$conf"
  say "watching $primary"
  start_down_after_ms=$down_after_ms
else
  follow_network "$conf" "$(sed -n 's/^sentinel announce-ip //p' "$conf" | tr -d '"')"
  # The whole stack may be starting, and the primary may be the slowest of it. A failover now would take an older copy for no
  # reason: patience until the primary has been seen once.
  start_down_after_ms=$((grace_s * 1000))
fi

# Order matters: Sentinel takes settings of a group only after its `monitor` line.
{
  echo "port ${own##*:}"
  echo 'protected-mode no'
  echo 'dir /data'
  echo "sentinel announce-ip ${own%:*}"
  echo "sentinel announce-port ${own##*:}"
  grep -Ev "^(#|port |protected-mode |dir |sentinel (announce-ip|announce-port) |sentinel (down-after-milliseconds|failover-timeout|parallel-syncs) $group )" "$conf"
  echo "sentinel down-after-milliseconds $group $start_down_after_ms"
  echo "sentinel failover-timeout $group $failover_timeout_ms"
  echo "sentinel parallel-syncs $group 1"
} >"$conf.new"
mv "$conf.new" "$conf"

end_grace() {
  port=${own##*:}
  while [ $(($(date +%s) - began)) -lt "$grace_s" ]; do
    sleep 0.3
    primary=$(named_by "127.0.0.1:$port")
    # Loading counts: the node is there.
    if [ -n "$primary" ] && [ -n "$(role_of "$primary")" ]; then break; fi
  done
  ask "127.0.0.1:$port" sentinel set "$group" down-after-milliseconds "$down_after_ms" >/dev/null
}
# Forked twice: a child of its own that it does not know would confuse Sentinel.
[ "$start_down_after_ms" = "$down_after_ms" ] || (end_grace &)
exec redis-server "$conf" --sentinel
