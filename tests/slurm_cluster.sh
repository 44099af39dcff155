#!/bin/sh
# A real Slurm of one node on this machine's loopback, for the tests: slurm_cluster.sh start|stop FOLDER
# Needs root and the packages slurm-wlm and munge. All that it writes lies in FOLDER; clients find it through
# SLURM_CONF=FOLDER/slurm.conf.
set -eu
action=$1
folder=$2

start() {
    # ports of its own, so that several test processes can each have a cluster
    port=$((20000 + 2 * ($$ % 10000)))
    mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
    # munged accepts folders that nobody else can write to
    chown -R munge: "$folder/munge"
    chmod 755 "$folder" "$folder/munge"
    dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 2>/dev/null
    chown munge: "$folder/munge/key"
    chmod 400 "$folder/munge/key"
    su -s /bin/sh munge -c "munged --force --key-file='$folder/munge/key' --socket='$folder/munge/socket' \
        --pid-file='$folder/munge/pid' --log-file='$folder/munge/log' --seed-file='$folder/munge/seed'"
    cat > "$folder/slurm.conf" <<CONF
ClusterName=invlearn
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=2
BatchStartTimeout=10
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld
    slurmd
    for _ in $(seq 60); do
        sinfo --noheader --format=%T 2>/dev/null | grep -q idle && return
        sleep 1
    done
    cat "$folder"/*.log >&2
    exit 1
}

stop() {
    export SLURM_CONF="$folder/slurm.conf"
    if scancel --user=root --signal=KILL 2>/dev/null; then sleep 2; fi
    for file in slurmd.pid slurmctld.pid munge/pid; do
        [ ! -e "$folder/$file" ] || kill "$(cat "$folder/$file")" 2>/dev/null || true
    done
    # slurmctld writes its state as it ends, into a folder that the caller is about to remove
    for _ in $(seq 100); do
        [ -e "$folder/slurmctld.pid" ] || break
        sleep 0.1
    done
}

"$action"
