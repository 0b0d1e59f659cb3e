#!/usr/bin/env bash
# Brings up what the tests marked `docker` need: a Docker daemon and the image $BASE_IMAGE (Debian 12, Python 3.11).
# Does only what is missing, so it may be run before every test run. A daemon that already answers is left alone.
# Installing and starting a daemon needs root on Debian or Ubuntu; systemd is not needed.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
ENGINE=docker
. "$HERE/common.sh"
BASE_IMAGE=ftsdk-base:py3.11
UPSTREAM=python:3.11-slim
DAEMON_LOG=/var/log/dockerd.log
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

answers() { docker info >/dev/null 2>&1; }

install_packages() {
  command -v apt-get >/dev/null || impossible "no daemon answers and there is no apt-get here; install and start Docker."
  say "installing $*"
  apt_get update -qq || fail "apt-get update failed; the lines above say why."
  # Debian 13 ships the command-line program in a package of its own.
  if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then set -- "$@" docker-cli; fi
  apt_get install -y -qq --no-install-recommends "$@" || fail "$* could not be installed; the lines above say why."
}

start_daemon() {
  [ "$(id -u)" = 0 ] || impossible "no daemon answers; start Docker, or run this as root so that it can."
  command -v dockerd >/dev/null || install_packages docker.io iptables ca-certificates
  if [ -d /run/systemd/system ]; then
    systemctl start docker
    return
  fi
  # A second daemon in one network namespace would take docker0 and its firewall rules from the first.
  ! grep -qsx dockerd /proc/[0-9]*/comm || fail "a dockerd runs but does not answer; see $DAEMON_LOG."
  rm -f /var/run/docker.pid
  setsid nohup dockerd --log-level warn >>"$DAEMON_LOG" 2>&1 </dev/null &
  for _ in $(seq 300); do
    ! answers || return 0
    kill -0 "$!" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 3 "$DAEMON_LOG" >&2
  fail "the daemon does not start on this machine; the lines above are from $DAEMON_LOG."
}

debian_root() {
  mmdebstrap --quiet --mode=root --variant=minbase --include=python3,python3-venv,ca-certificates \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --customize-hook="python3 '$HERE/trust_host.py' \"\$1\"" \
    --customize-hook='chroot "$1" update-ca-certificates >/dev/null 2>&1' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*.log' bookworm -
}

make_base_image() {
  if docker image inspect "$UPSTREAM" >/dev/null 2>&1 || timeout 180 docker pull -q "$UPSTREAM" >/dev/null 2>&1; then
    docker tag "$UPSTREAM" "$BASE_IMAGE"
    say "$BASE_IMAGE is $UPSTREAM"
    return
  fi
  say "no registry answers; making $BASE_IMAGE from Debian (about a minute)"
  command -v mmdebstrap >/dev/null || install_packages mmdebstrap debian-archive-keyring ca-certificates
  local id
  id=$(debian_root | docker import -c 'ENV LANG=C.UTF-8' -c 'CMD ["python3"]' \
    -c "ENV PIP_CERT=$CA_BUNDLE SSL_CERT_FILE=$CA_BUNDLE REQUESTS_CA_BUNDLE=$CA_BUNDLE" -)
  docker tag "$id" "$BASE_IMAGE"  # only now: a root that broke off half-way must not be taken for the base
  say "$BASE_IMAGE made ($(docker image inspect -f '{{.Size}}' "$BASE_IMAGE" | awk '{printf "%d MB", $1 / 1e6}'))"
}

record "failed the script broke off"
answers || { start_daemon; say "daemon up"; }
docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || make_base_image
record up
