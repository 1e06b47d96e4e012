#!/usr/bin/env bash
# Is there a Docker engine, and if not, can one run here?
#
#   ensure-engine.sh <folder>
#
# exit 0    an engine answers already: use it
# exit 77   there is none and none can run here; the last line on stderr says why
# no exit   this process has become an engine that listens on unix://<folder>/docker.sock; SIGTERM ends it, and so does
#           the end of the process that called it
#
# The engine that it becomes has a store of its own in the cache folder: containers that somebody left in the usual store
# are neither started nor seen. One at a time, as two engines would fight over the bridge: a second call waits.
# Debian packages are installed only with CI=true or SWITCHYARD_INSTALL_DOCKER=1.
set -uo pipefail

folder=${1:?usage: ensure-engine.sh <folder>}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/switchyard

cannot() {
  echo "$*" >&2
  exit 77
}

if command -v docker >/dev/null && timeout 20 docker info >/dev/null 2>&1; then exit 0; fi
[ -z "${DOCKER_HOST:-}" ] || cannot "no engine answers at DOCKER_HOST=$DOCKER_HOST"

needed=(docker dockerd iptables)
missing() { for name in "${needed[@]}"; do command -v "$name" >/dev/null || printf '%s ' "$name"; done; }
[ "$(id -u)" = 0 ] || cannot "no Docker engine answers, and only root could start one"
if [ -n "$(missing)" ]; then
  lacking=$(missing)
  [ "${CI:-}" = true ] || [ "${SWITCHYARD_INSTALL_DOCKER:-}" = 1 ] ||
    cannot "not installed: $lacking(SWITCHYARD_INSTALL_DOCKER=1 lets this script install Debian's packages)"
  command -v apt-get >/dev/null || cannot "not installed: ${lacking% }, and there is no apt-get to install it"
  echo "installing docker.io (missing: ${lacking% })" >&2
  log=$(mktemp)
  # iptables is only recommended by docker.io, and without it no container reaches another.
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends docker.io iptables; } \
    >"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; cannot "apt-get could not install docker.io (whole output: $log)"; }
  rm -f "$log"
  hash -r
  [ -z "$(missing)" ] || cannot "still not there after the installation: $(missing)"
  # Where services are started at installation, there is an engine now.
  if timeout 20 docker info >/dev/null 2>&1; then exit 0; fi
fi

mkdir -p "$cache/engine" "$folder"
exec 9>"$cache/engine.lock"
flock --timeout 1200 9 || cannot "another engine of Switchyard's tests has been running for 20 minutes (lock: $cache/engine.lock)"
kill -0 "$PPID" 2>/dev/null || cannot 'who wanted the engine is gone'
# The engine inherits the lock and holds it for as long as it lives.
exec setpriv --pdeathsig TERM dockerd \
  --host "unix://$folder/docker.sock" \
  --data-root "$cache/engine" \
  --exec-root "$folder/exec" \
  --pidfile "$folder/docker.pid" \
  --log-level warn
