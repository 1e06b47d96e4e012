#!/bin/sh
# Starts a Redis node of the group in the right role. No node is the primary because of its name: a former primary that comes
# back with old data would win over the newer data of the true one. Who is it then? In this order:
#
#   1. whom a majority of all Sentinels names, if they run: they decide failovers, and remember them on their volumes
#   2. what this node's own /data/redis.conf says: Sentinel has Redis rewrite it at every failover
#   3. only where neither exists, on the first boot of a group without any data: SWITCHYARD_REDIS_FIRST_PRIMARY, because
#      somebody has to begin. It is never looked at by a node that has data or a file, nor when the Sentinels know better.
#
# And a node that is empty begins as primary only after every other node has answered that it is empty, too; whatever says
# that it should. Otherwise the others would copy the emptiness. Until then it stays silent: the Sentinels take it for down, and
# make a node with data the primary, which this one then follows.
set -eu
. /switchyard/group.sh
. /switchyard/damaged.sh

conf=/data/redis.conf
first=$SWITCHYARD_REDIS_FIRST_PRIMARY
# The Sentinels of a stack that starts as a whole come a few seconds after the nodes.
patience_s=${SWITCHYARD_REDIS_PATIENCE_S:-20}

has_data() {
  # What was put aside is no data: a node that has only that begins as an empty one.
  files=$(find /data -name 'damaged-*' -prune -o \( -name '*.rdb' -o -name '*.aof' \) -size +0 -print 2>/dev/null)
  [ -n "$files" ]
}

remembered() {
  file_says=$(sed -n 's/^replicaof \([^ ]*\) \([0-9]*\).*/\1:\2/p' "$conf")
  echo "${file_says:-$own}"
}

primary_with_keys() {
  for node in $(others); do
    if [ "$(role_of "$node")" = master ] && [ "$(keys_of "$node")" != 0 ]; then
      echo "$node"
      return
    fi
  done
}

# The first other node that has not said that it is empty.
not_known_empty() {
  for node in $(others); do
    if [ "$(keys_of "$node")" != 0 ]; then
      echo "$node"
      return
    fi
  done
}

# Sets `primary` and `because`; empty while it is too early to tell.
decide() {
  primary=$(named_by_majority) because='a majority of the Sentinels names it'
  [ -z "$primary" ] || return 0
  if [ -f "$conf" ] || has_data; then
    if [ $(($(date +%s) - began)) -lt "$patience_s" ]; then
      say "waiting for a majority of the Sentinels to name the primary (at most $patience_s s)"
      return 0
    fi
    because="no majority of the Sentinels answered within $patience_s s, and"
    if [ -f "$conf" ]; then
      primary=$(remembered) because="$because this node's own file says so"
    else
      primary=$own because="$because this node has data but no file"
    fi
    return 0
  fi
  primary=$(primary_with_keys) because='it is a primary with data, and this node has neither data nor a file'
  [ -z "$primary" ] || return 0
  primary=$first because='first boot: this node has no data, and nobody knows of a primary'
}

began=$(date +%s)
[ ! -f "$conf" ] || follow_network "$conf" "$(sed -n 's/^replica-announce-ip //p' "$conf" | tr -d '"')"
while :; do
  decide
  if [ -n "$primary" ]; then
    [ "$primary" = "$own" ] && ! has_data || break
    unheard=$(not_known_empty)
    [ -n "$unheard" ] || break
    say "this node is empty and would be the primary ($because), but $unheard has not said that it is empty, too: waiting"
  fi
  sleep 0.3
done

# Written anew at every start, but for the lines that are not ours.
ours=$(sed -n 's/^\([a-z-]*\) .*/\1/p' /switchyard/redis.conf | tr '\n' '|')
{
  cat /switchyard/redis.conf
  echo "replica-announce-ip ${own%:*}"
  echo "replica-announce-port ${own##*:}"
  [ "$primary" = "$own" ] || echo "replicaof ${primary%:*} ${primary##*:}"
  [ ! -f "$conf" ] || grep -Ev "^#|^(${ours}replicaof|replica-announce-ip|replica-announce-port) " "$conf" || :
} >"$conf.new"
mv "$conf.new" "$conf"

[ "$primary" = "$own" ] || begin_anew_if_damaged /data "$primary"
if [ "$primary" = "$own" ]; then say "starting as primary: $because"; else say "starting as replica of $primary: $because"; fi
exec redis-server "$conf"
