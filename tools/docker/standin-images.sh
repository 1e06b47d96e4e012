#!/usr/bin/env bash
# Base images for a machine that can pull none: made of Debian's packages and of Node from npm, under names of their own.
#
#   standin-images.sh      prints NODE_IMAGE=... and REDIS_IMAGE=..., to be given to the build
#
# exit 0 made (or still there from last time), 77 cannot be made here; progress and reasons on stderr. Needs root, apt-get and an
# engine. What they share with node:24-bookworm-slim and redis:8 is what our Dockerfile relies on: Node 24 with npm in
# /usr/local, redis-server 8 with redis-cli on PATH, users 1000 and 999, /data as a volume owned by 999. Neither has what only
# the other one brings. The userland is Debian 13's, as Redis 8 is there and not in Debian 12.
set -euo pipefail

node_version=24.21.0
npm_version=11
cannot() {
  echo "$*" >&2
  exit 77
}

docker info >/dev/null 2>&1 || cannot "no Docker engine answers"
authorities=/etc/ssl/certs/ca-certificates.crt
key=$(cat "$0" "$authorities" 2>/dev/null | sha256sum | cut -c1-12)
node_image=switchyard-standin/node:$key
redis_image=switchyard-standin/redis:$key
finish() {
  echo "NODE_IMAGE=$node_image"
  echo "REDIS_IMAGE=$redis_image"
  exit 0
}
there() { docker image inspect "$1" >/dev/null 2>&1; }
if there "$node_image" && there "$redis_image"; then finish; fi

[ "$(id -u)" = 0 ] || cannot "stand-ins for base images can be made by root only"
if ! command -v mmdebstrap >/dev/null; then
  [ "${CI:-}" = true ] || [ "${SWITCHYARD_INSTALL_DOCKER:-}" = 1 ] ||
    cannot "not installed: mmdebstrap (SWITCHYARD_INSTALL_DOCKER=1 lets this script install it)"
  command -v apt-get >/dev/null || cannot "not installed: mmdebstrap, and there is no apt-get to install it"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends mmdebstrap; } \
    </dev/null >&2 || cannot "apt-get could not install mmdebstrap"
fi

# In memory where there is room: unpacking a Debian takes 40 s on a slow disk and 25 s there.
if [ -z "${TMPDIR:-}" ] && [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1 || echo 0)" -gt 1500000 ]; then
  export TMPDIR=/dev/shm
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/node" "$work/redis" "$work/npm"

echo "making stand-ins for the base images (under a minute)" >&2
(
  cd "$work/npm"
  npm pack --silent "node-linux-$(node -p process.arch)@$node_version" "npm@$npm_version" >/dev/null
  modules=$work/node/root/lib/node_modules/npm
  mkdir -p "$work/node/root/bin" "$modules"
  tar xzf node-linux-*.tgz --strip-components=1 -C "$work/node/root" package/bin/node
  tar xzf npm-*.tgz --strip-components=1 -C "$modules"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/root/bin/npm"
) &
packing=$!

# The Redis packages are only downloaded here, and installed in the one image that is to have them. `format=tar`: told from
# the name "-" alone it would be guessed. Downloading them last keeps them out of the tar.
mmdebstrap --quiet --variant=minbase --format=tar \
  --include=ca-certificates,libstdc++6 \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='chroot "$1" groupadd --gid 1000 node && chroot "$1" useradd --uid 1000 --gid node --create-home node' \
  --customize-hook="test ! -f $authorities || cp $authorities \"\$1\"$authorities" \
  --customize-hook='chroot "$1" apt-get install -qq -y --no-install-recommends --download-only redis-server redis-sentinel >/dev/null' \
  --customize-hook="mkdir -p '$work/redis/packages' && mv \"\$1\"/var/cache/apt/archives/*.deb '$work/redis/packages/'" \
  trixie "$work/root.tar" >&2 || cannot "Debian's packages could not be had (mmdebstrap failed)"
wait "$packing" || cannot "npm could not fetch node-linux@$node_version and npm@$npm_version"

base=switchyard-standin/debian:$key
docker import "$work/root.tar" "$base" >/dev/null
cat >"$work/node/Dockerfile" <<END
FROM $base
COPY root/ /usr/local/
# Where TLS is intercepted, the machine's authorities are what makes npm work in a container.
ENV NODE_EXTRA_CA_CERTS=$authorities
CMD ["node"]
END
cat >"$work/redis/Dockerfile" <<END
FROM $base
COPY packages/ /packages/
RUN groupadd --gid 999 redis && useradd --uid 999 --gid redis --home-dir /data --no-create-home redis \
 && dpkg --install --force-unsafe-io /packages/*.deb >/dev/null && rm -r /packages && mkdir /data && chown 999:999 /data
WORKDIR /data
VOLUME /data
CMD ["redis-server"]
END
export DOCKER_BUILDKIT=0 # the classic builder is always there
for image in "$node_image" "$redis_image"; do
  folder=$work/redis
  [ "$image" = "$redis_image" ] || folder=$work/node
  docker build --quiet --tag "$image" "$folder" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
done
docker image rm "$base" >/dev/null
finish
