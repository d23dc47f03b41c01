#!/bin/sh
# The docker that kind calls when it creates a cluster of one node. The node is the machine on which this runs: `docker run` mounts the
# volumes of the kit there, and `docker exec` reads and writes the configuration of its containerd. kubeadm fails, because nothing
# more is wanted of it.
case "$*" in
-v) echo 'Docker version 29.0.0, build test' ;;
info*) echo '{"CgroupDriver":"systemd","CgroupVersion":"2","MemoryLimit":true,"PidsLimit":true,"CPUShares":true}' ;;
'network ls'*) echo 1 ;;
'network inspect'*) echo 10.99.0.0/24 ;;
ps*) if [ -e "$HOME/node" ]; then echo kind-control-plane; fi ;;
inspect*role*) echo control-plane ;;
inspect*IPAddress*) echo 10.99.0.3, ;;
run*)
  touch "$HOME/node"
  for argument; do
    volume=${argument#--volume=}
    case "$argument" in --volume=*/hubgate/*) ;; *) continue ;; esac
    from=${volume%%:*}
    to=${volume#*:}
    to=${to%%:*}
    mkdir -p "$to"
    mount --bind "$from" "$to" || exit 1
  done
  ;;
logs*) echo 'Reached target Multi-User System' ;;
exec*/kind/version) echo v1.35.0 ;;
exec*/etc/containerd/config.toml)
  while [ "$1" != kind-control-plane ]; do shift; done
  shift
  exec "$@"
  ;;
exec*kubeadm*init*) exit 1 ;;
esac
