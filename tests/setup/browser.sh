#!/usr/bin/env bash
# Installs what the tests marked `browser` need: Debian's Chromium, which they run headless and without a network.
# Does only what is missing, so it may be run before every test run. Needs root on Debian or Ubuntu.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
ENGINE=browser
. "$HERE/common.sh"

if ! command -v chromium >/dev/null; then
  command -v apt-get >/dev/null || impossible "there is no Chromium and no apt-get here; install Chromium."
  [ "$(id -u)" = 0 ] || impossible "there is no Chromium; install it, or run this as root so that it can."
  say "installing chromium"
  apt_get update -qq || fail "apt-get update failed; the lines above say why."
  apt_get install -y -qq --no-install-recommends chromium || fail "chromium could not be installed; see above."
fi
record up
