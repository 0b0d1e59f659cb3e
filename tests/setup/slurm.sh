#!/usr/bin/env bash
# Brings up what the tests marked `skypilot` need, all on loopback: a Slurm cluster of two nodes with eight pretended
# GPUs each, an sshd for SkyPilot to come in by, and SkyPilot's API server. `down` ends all of it by process id.
# Does only what is missing, so it may be run before every test run. Needs root on Debian or Ubuntu, but no systemd.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
ENGINE=skypilot
. "$HERE/common.sh"
BASE=${FTSDK_SLURM_BASE:-/var/lib/ftsdk-slurm}
VENV=$BASE/venv
SKY_HOME=$BASE/home
CLUSTER=ftlocal  # SkyPilot calls it slurm/ftlocal
SSH_PORT=46522
PROBE_PORT=46523
NODE_PORTS=(46524 46525)
CONTROL_PORT=46526
export SKYPILOT_API_SERVER_LOCAL_PORT=46527
export SKYPILOT_DISABLE_USAGE_COLLECTION=1
unset PYTHONDONTWRITEBYTECODE  # where it is set, each of SkyPilot's many processes would compile all that it imports
HOST=$(hostname -s)

lives() { [ -s "$BASE/run/$1.pid" ] && kill -0 "$(cat "$BASE/run/$1.pid" 2>/dev/null)" 2>/dev/null; }
stop() {
  if lives "$1"; then
    kill "$(cat "$BASE/run/$1.pid")"
    for _ in $(seq 100); do lives "$1" || break; sleep 0.1; done
  fi
  rm -f "$BASE/run/$1.pid"
}
sky() { HOME=$SKY_HOME "$VENV/bin/sky" "$@" </dev/null; }
api() { curl -fsS -o /dev/null --max-time 5 "http://127.0.0.1:$SKYPILOT_API_SERVER_LOCAL_PORT/api/health" 2>/dev/null; }

install_packages() {
  local wanted=(slurmctld slurmd slurm-client munge openssh-server rsync curl python3-venv) missing=()
  for package in "${wanted[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return
  [ "$(id -u)" = 0 ] || impossible "missing here: ${missing[*]}; run this as root."
  command -v apt-get >/dev/null || impossible "missing here: ${missing[*]}, and there is no apt-get."
  say "installing ${missing[*]}"
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then  # the packages' own services must not start: they would listen on all addresses
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=1
  fi
  local installed=1
  apt_get update -qq && apt_get install -y -qq --no-install-recommends "${missing[@]}" || installed=
  [ -z "$made" ] || rm -f $policy
  [ -n "$installed" ] || fail "${missing[*]} could not be installed; the lines above say why."
}

# SkyPilot's controller follows a managed job only while one of two public addresses answers; they stand in its source
# (backend_utils._TEST_IP_LIST). In this venv of the tests' own, an address on loopback takes their place.
install_skypilot() {
  if ! cmp -s "$HERE/skypilot.txt" "$VENV/installed.txt"; then
    say "installing SkyPilot into $VENV"
    rm -rf "$VENV" "$BASE/runtime"
    "${PYTHON:-python3}" -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --requirement "$HERE/skypilot.txt"
    local source
    source=$(echo "$VENV"/lib/python3*/site-packages/sky/backends/backend_utils.py)
    sed -i "s#^_TEST_IP_LIST = .*#_TEST_IP_LIST = ['http://127.0.0.1:$PROBE_PORT']#" "$source"
    grep -q "127.0.0.1:$PROBE_PORT" "$source" || fail "SkyPilot's list of addresses is not where it was: $source"
    cp "$HERE/skypilot.txt" "$VENV/installed.txt"
  fi
}

# SkyPilot installs itself on a node with uv, which it fetches by curl, and with a Python 3.10 that uv fetches: ninety
# packages for each node of each cluster, though all nodes are this machine. Here uv comes from PyPI, and what it is
# asked to make is a link to one environment that is made once.
write_uv() {
  cat >"$BASE/bin/uv" <<U
#!/usr/bin/env bash
set -e
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never UV_CACHE_DIR=$BASE/uv-cache
runtime=$BASE/runtime
exec 9>\$runtime.lock
flock 9
[ -x \$runtime/bin/python ] || "$VENV/bin/uv" venv --seed \$runtime --python "$(readlink -f "$VENV/bin/python")"
case "\$*" in
  venv*skypilot-runtime*) ln -sfn \$runtime "\$3" ;;
  "pip uninstall skypilot") ;;
  "pip install "*/skypilot-*.whl*)
    hash=\$(basename "\$(dirname "\$3")")
    [ "\$(cat \$runtime/wheel 2>/dev/null)" = "\$hash" ] ||
      VIRTUAL_ENV=\$runtime UV_COMPILE_BYTECODE=1 "$VENV/bin/uv" "\$@"
    echo "\$hash" >\$runtime/wheel ;;
  *) exec "$VENV/bin/uv" "\$@" ;;
esac
U
  # Slurm runs this before each of a job's steps: uv must be in the home of each SkyPilot cluster before SkyPilot looks.
  # What it prints is set for the step: pip on the nodes finds packages where pip here does.
  cat >"$BASE/bin/task_prolog.sh" <<P
#!/bin/sh
case "\$HOME" in */.sky_clusters/*) home=\$HOME ;; *) home=$BASE/work/.sky_clusters/\$SLURM_JOB_NAME ;; esac
if [ ! -x "\$home/.local/bin/uv" ]; then
  mkdir -p "\$home/.local/bin"
  ln -sf $BASE/bin/uv "\$home/.local/bin/uv"
fi >/dev/null 2>&1
echo export PIP_CONFIG_FILE=$HOME/.config/pip/pip.conf
exit 0
P
  chmod 755 "$BASE/bin/uv" "$BASE/bin/task_prolog.sh"
}

# Any file can stand for a GPU as long as no cgroup guards it. `spot` is preempted by `dev`, as spot capacity is.
write_slurm_configuration() {
  cat >"$BASE/slurm.conf" <<C
ClusterName=$CLUSTER
SlurmctldHost=$HOST(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=$CONTROL_PORT
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket=$BASE/run/munge.socket
StateSaveLocation=$BASE/state
SlurmdSpoolDir=$BASE/spool-%n
SlurmctldPidFile=$BASE/run/slurmctld.pid
SlurmdPidFile=$BASE/run/slurmd-%n.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$BASE/bin/task_prolog.sh
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
KillWait=10
MinJobAge=300
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=${NODE_PORTS[0]} CPUs=64 RealMemory=512000 Gres=gpu:h100:8
NodeName=n2 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=${NODE_PORTS[1]} CPUs=64 RealMemory=512000 Gres=gpu:h100:8
PartitionName=dev Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP PriorityTier=10
PartitionName=spot Nodes=ALL MaxTime=1-00:00:00 State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=0
C
  echo "NodeName=n[1-2] Name=gpu Type=h100 File=$BASE/dev/gpu[0-7] Flags=nvidia_gpu_env" >"$BASE/gres.conf"
  echo "CgroupPlugin=cgroup/v1" >"$BASE/cgroup.conf"
  touch "$BASE"/dev/gpu{0..7}
}

write_ssh_configuration() {
  [ -f "$BASE/ssh/host" ] || ssh-keygen -q -t ed25519 -N '' -f "$BASE/ssh/host"
  [ -f "$SKY_HOME/.ssh/slurm" ] || ssh-keygen -q -t ed25519 -N '' -f "$SKY_HOME/.ssh/slurm"
  install -m 600 "$SKY_HOME/.ssh/slurm.pub" "$BASE/ssh/authorized_keys"
  cat >"$BASE/ssh/sshd_config" <<S
Port $SSH_PORT
ListenAddress 127.0.0.1
HostKey $BASE/ssh/host
PidFile $BASE/run/sshd.pid
AuthorizedKeysFile $BASE/ssh/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AllowUsers $(id -un)
SetEnv SLURM_CONF=$BASE/slurm.conf
MaxSessions 100
MaxStartups 100:30:200
Subsystem sftp internal-sftp
S
  cat >"$SKY_HOME/.slurm/config" <<S
Host $CLUSTER
  HostName 127.0.0.1
  Port $SSH_PORT
  User $(id -un)
  IdentityFile $SKY_HOME/.ssh/slurm
  IdentitiesOnly yes
S
}

# The list of accelerators is one that SkyPilot would fetch from GitHub; a file without a checksum beside it stays.
write_skypilot_configuration() {
  cat >"$SKY_HOME/.sky/config.yaml" <<S
slurm:
  cluster_configs:
    $CLUSTER:
      workdir: $BASE/work
      pricing: {cpu: 0.04, memory: 0.01, accelerators: {H100: 2.5}}
jobs:
  controller:
    consolidation_mode: true
S
  local catalog=$SKY_HOME/.sky/catalogs/v8/common/accelerators.csv
  mkdir -p "$(dirname "$catalog")"
  { echo "AcceleratorName,Clouds"; printf "%s,['AWS']\n" A10G A100 A100-80GB H100 H200 L4 L40S T4 V100; } >"$catalog"
}

start_daemons() {
  grep -qx '127.0.0.1 n1 n2' /etc/hosts || echo '127.0.0.1 n1 n2' >>/etc/hosts  # SkyPilot resolves nodes by name
  local key=$BASE/munge.key
  [ -s "$key" ] || head -c 1024 /dev/urandom >"$key"
  chown munge: "$key"
  chmod 400 "$key"
  lives munged || setpriv --reuid munge --regid munge --clear-groups /usr/sbin/munged --force --key-file="$key" \
    --socket="$BASE/run/munge.socket" --pid-file="$BASE/run/munged.pid" --log-file="$BASE/log/munged.log" \
    --seed-file="$BASE/run/munged.seed"
  lives slurmctld || /usr/sbin/slurmctld -f "$BASE/slurm.conf" </dev/null >/dev/null 2>&1
  for node in n1 n2; do
    lives slurmd-$node || /usr/sbin/slurmd -f "$BASE/slurm.conf" -N $node </dev/null >/dev/null 2>&1
  done
  lives sshd || /usr/sbin/sshd -f "$BASE/ssh/sshd_config" -E "$BASE/log/sshd.log"
  if ! lives probe; then
    mkdir -p "$BASE/empty"
    setsid nohup "$VENV/bin/python" -m http.server --bind 127.0.0.1 --directory "$BASE/empty" $PROBE_PORT \
      </dev/null >/dev/null 2>&1 &
    echo $! >"$BASE/run/probe.pid"
  fi
  for _ in $(seq 100); do
    [ "$(sinfo -h -N -p dev -t idle,alloc,mix -o %N | sort -u | wc -l)" = 2 ] && return
    sleep 0.1
  done
  sinfo -N -l >&2
  fail "the nodes do not come up; see $BASE/log."
}

up() {
  record "failed the script broke off"
  install_packages
  [ "$(id -u)" = 0 ] || impossible "run this as root: Slurm's daemons and sshd need it."
  mkdir -p "$BASE"/{run,log,state,spool-n1,spool-n2,bin,dev,ssh,work,shared} "$SKY_HOME"/{.ssh,.slurm,.sky} /run/sshd
  chown slurm: "$BASE/state"
  chmod 1777 "$BASE/run" "$BASE/log"
  chmod 700 "$SKY_HOME/.ssh"
  install_skypilot
  write_uv
  write_slurm_configuration
  write_ssh_configuration
  write_skypilot_configuration
  start_daemons
  api || sky api start >"$BASE/log/api.log" 2>&1 || fail "SkyPilot's API server does not start; see $BASE/log/api.log."
  api || fail "SkyPilot's API server does not answer."
  record up
  say "up: $(sinfo -h -o '%P %D %t' | tr '\n' ';')"
}

down() {
  rm -f "$ENGINE_STATE"
  if lives slurmctld; then
    scancel --user="$(id -un)"
    for _ in $(seq 200); do [ -n "$(squeue -h)" ] || break; sleep 0.1; done
  fi
  [ ! -x "$VENV/bin/sky" ] || ! api || sky api stop >/dev/null 2>&1 || true
  ! lives sshd || pkill --parent "$(cat "$BASE/run/sshd.pid")" || true  # SkyPilot keeps its connections open
  for daemon in slurmd-n1 slurmd-n2 slurmctld sshd probe munged; do stop $daemon; done
}

export SLURM_CONF=$BASE/slurm.conf
case "${1:-up}" in
  up) up ;;
  down) down ;;
  *) fail "usage: $0 [up|down]" ;;
esac
