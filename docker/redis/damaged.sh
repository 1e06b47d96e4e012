# What becomes of a replica whose own files are damaged? redis-server refuses to start on them, and the engine would start it again for
# ever. Sourced by start-node.sh; POSIX sh. Needs role_of, keys_of and say of group.sh.
#
# Only when all of this is true its files are put aside, into a folder of the same volume, and the node copies everything from the primary:
# it is to be a replica; its last start was a moment ago, so that start failed; the tools of Redis say that the files are damaged; and the
# primary serves. They are never removed, and not put aside for a sixth time: a disk that fails would be filled with copies.

most_aside=5
soon_s=120

# files_are_damaged <directory>   by the tools that come with Redis; they only read
files_are_damaged() {
  manifest=$(find "$1/appendonlydir" -name '*.manifest' 2>/dev/null | head -n 1)
  if [ -n "$manifest" ]; then
    ! redis-check-aof "$manifest" </dev/null >/dev/null 2>&1
  elif [ -f "$1/dump.rdb" ]; then
    ! redis-check-rdb "$1/dump.rdb" >/dev/null 2>&1
  else
    return 1
  fi
}

# begin_anew_if_damaged <directory> <ip:port of the primary>
begin_anew_if_damaged() {
  last=$(cat "$1/.switchyard-started" 2>/dev/null || echo 0)
  now=$(date +%s)
  echo "$now" >"$1/.switchyard-started"
  [ $((now - last)) -lt "$soon_s" ] || return 0
  files_are_damaged "$1" || return 0
  if [ "$(role_of "$2")" != master ] || [ -z "$(keys_of "$2")" ]; then
    say "the files of this node are damaged, and its primary $2 does not serve: they stay where they are"
    return 0
  fi
  if [ "$(find "$1" -maxdepth 1 -name 'damaged-*' | wc -l)" -ge "$most_aside" ]; then
    say "the files of this node are damaged, and $most_aside sets of such files are kept in $1 already: remove some"
    return 0
  fi
  aside=$1/damaged-$(date -u +%Y%m%dT%H%M%SZ)
  mkdir "$aside"
  for name in dump.rdb appendonlydir; do
    [ ! -e "$1/$name" ] || mv "$1/$name" "$aside/"
  done
  say "the files of this node are damaged: they are kept in $aside, and it copies everything from $2"
}
