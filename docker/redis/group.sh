# How do the scripts ask the group? Sourced by start-node.sh, start-sentinel.sh and healthy.sh; POSIX sh.
#
#   SWITCHYARD_REDIS_GROUP       name of the group, as Sentinels and clients know it
#   SWITCHYARD_REDIS_NODES       ip:port,ip:port,...   all nodes
#   SWITCHYARD_REDIS_SENTINELS   ip:port,ip:port,...   all Sentinels
#   SWITCHYARD_REDIS_ANNOUNCE    ip:port               what others reach this one by

group=${SWITCHYARD_REDIS_GROUP:-main}
nodes=$(echo "$SWITCHYARD_REDIS_NODES" | tr ',' ' ')
sentinels=$(echo "$SWITCHYARD_REDIS_SENTINELS" | tr ',' ' ')
own=$SWITCHYARD_REDIS_ANNOUNCE

# The words of a log line are printed when they change, and every 10 s while they do not.
said='' said_at=0
say() {
  now=$(date +%s)
  if [ "$*" != "$said" ] || [ $((now - said_at)) -ge 10 ]; then
    echo "switchyard: $*"
    said=$* said_at=$now
  fi
}

# ask <ip:port> <command>...   the answer; nothing when there is none within a second
ask() {
  ask_address=$1
  shift
  timeout 1 redis-cli -h "${ask_address%:*}" -p "${ask_address##*:}" "$@" 2>/dev/null || :
}

# ip:port of the primary as one Sentinel knows it
named_by() {
  ask "$1" sentinel get-master-addr-by-name "$group" |
    awk '/^[0-9.]+$/ { word[++count] = $1 } END { if (count == 2) print word[1] ":" word[2] }'
}

# ip:port of the primary as more than half of all Sentinels (not only of those that answer) know it
named_by_majority() {
  for sentinel in $sentinels; do named_by "$sentinel"; done |
    sort | uniq -c | awk -v all="$(echo "$sentinels" | wc -w)" '$1 * 2 > all { print $2 }'
}

# "master" or "slave"; nothing while the node is silent. Answers while it is loading, too.
role_of() {
  ask "$1" info replication | tr -d '\r' | sed -n 's/^role://p'
}

followers_of() {
  ask "$1" info replication | tr -d '\r' | sed -n 's/^connected_slaves://p'
}

# Number of keys; nothing while the node is silent or loading.
keys_of() {
  ask "$1" dbsize | sed -n 's/^\([0-9][0-9]*\)$/\1/p'
}

others() {
  for node in $nodes; do [ "$node" = "$own" ] || echo "$node"; done
}

# follow_network <file> <announced ip in it>: the whole group moved to another subnet (SWITCHYARD_NET), each with its last number
follow_network() {
  old=$2 new=${own%:*}
  if [ -n "$old" ] && [ "$old" != "$new" ]; then
    say "the network moved from ${old%.*} to ${new%.*}: $1 follows"
    sed -i "s/\([^0-9.]\)$(echo "${old%.*}." | sed 's/\./\\./g')/\1${new%.*}./g" "$1"
  fi
}
