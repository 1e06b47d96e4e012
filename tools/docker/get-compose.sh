#!/usr/bin/env bash
# `docker compose` for a machine that only has an engine: Debian 13's plug-in, unpacked into a folder of its own.
#
#   get-compose.sh <folder>     afterwards: DOCKER_CONFIG=<folder> docker compose version
#
# Nothing on the system changes: apt runs on private state, which checks the signatures as usual. exit 77: cannot be had here.
set -euo pipefail

folder=${1:?usage: get-compose.sh <folder>}
plugin=$folder/cli-plugins/docker-compose
[ ! -x "$plugin" ] || exit 0
cannot() {
  echo "$*" >&2
  exit 77
}

keys=/usr/share/keyrings/debian-archive-keyring.gpg
command -v apt-get >/dev/null && [ -f "$keys" ] || cannot "Debian's archive can only be read with apt-get and $keys"
archive=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/\?$' || echo http://deb.debian.org/debian)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder/cli-plugins"
echo "deb [signed-by=$keys] $archive trixie main" >"$work/sources.list"
private=(
  -qq
  -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
  -o APT::Sandbox::User=root
)
cd "$work"
{ apt-get "${private[@]}" update && apt-get "${private[@]}" download docker-compose; } >&2 </dev/null ||
  cannot "docker-compose could not be downloaded from $archive (trixie)"
dpkg-deb --extract docker-compose_*.deb unpacked
# Moved into place when it is whole: an interrupted download must not look like a plug-in.
cp unpacked/usr/libexec/docker/cli-plugins/docker-compose "$plugin.new"
chmod 755 "$plugin.new"
mv "$plugin.new" "$plugin"
