#!/bin/sh
# Is this node, or this Sentinel, fit? `healthy.sh node`: it answers. `healthy.sh sentinel`: enough others are there for a failover.
. /switchyard/group.sh

here=127.0.0.1:${own##*:}
case $1 in
  node) [ "$(ask "$here" ping)" = PONG ] ;;
  sentinel) ask "$here" sentinel ckquorum "$group" | grep '^OK' ;;
esac
