# Sourced by the scripts that bring up engines for tests. $ENGINE is the pytest marker of the tests that need one.
ENGINE_STATE=${FTSDK_ENGINE_STATES:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.engines}/$ENGINE
APT_LOCK=${FTSDK_APT_LOCK:-/var/lock/ftsdk-apt.lock}
APT_WAIT_S=${FTSDK_APT_WAIT_S:-600}

say() { printf '[%3ds] %s: %s\n' "$SECONDS" "$ENGINE" "$*" >&2; }

# tests/setup/engines.py reads it: `up`, or `failed` or `impossible` with a sentence.
record() { mkdir -p "$(dirname "$ENGINE_STATE")" && printf '%s\n' "$*" >"$ENGINE_STATE"; }
fail() { say "$*"; record "failed $*"; exit 1; }
# For what this kind of machine cannot have, whatever the script does.
impossible() { say "$*"; record "impossible $*"; exit 1; }

# Waits for the locks of other package managers. flock keeps these scripts apart, DPkg::Lock::Timeout waits for dpkg's
# two locks, and the loop for those of the package lists and archives, for which apt-get has no timeout.
apt_get() {
  local ends=$((SECONDS + APT_WAIT_S)) errors code
  errors=$(mktemp)
  while true; do
    code=0
    LC_ALL=C DEBIAN_FRONTEND=noninteractive flock --timeout "$APT_WAIT_S" "$APT_LOCK" \
      apt-get -o "DPkg::Lock::Timeout=$APT_WAIT_S" "$@" >/dev/null 2>"$errors" || code=$?
    [ $code != 0 ] && [ $SECONDS -lt $ends ] && grep -qE 'Could not get lock|Unable to lock' "$errors" || break
    say "waiting for another package manager"
    sleep 1
  done
  cat "$errors" >&2
  rm -f "$errors"
  return $code
}
