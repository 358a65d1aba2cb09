#!/usr/bin/env bash
# Runs a study on the nodes of a Slurm allocation, and goes on with it in the next one.
#
#   sbatch --nodes=2 --cpus-per-task=8 --gpus-per-node=1 --time=4:00:00 \
#       cluster/slurm.sh STUDY.yaml --results /SHARED/FOLDER
#
# What follows slurm.sh goes to `study run`. Before the first sbatch: an environment in which
# `mixco` is found, on a disk that all nodes see; activate it, since sbatch passes it on. The data
# sets must lie on that disk too (`mixco data fetch cifar10`), or on each node.
#
# 120 s before its time limit the job ends the study in order and goes back to the queue; likewise
# when its steps are told to end (preemption with a grace time, `scancel --signal=TERM JOB`). A
# study that is complete, is refused or fails ends the job, and so does `scancel JOB`.
#SBATCH --job-name=mixco
#SBATCH --output=mixco-%j.log
#SBATCH --open-mode=append
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
set -u
told='' study=''
trap 'told=yes; [ -z "$study" ] || kill -TERM "$study"' USR1 TERM

# Several jobs may share a node: this one has its own folder, its own ports, and its own token, which
# srun hands to the other nodes. `ray symmetric-run` is no help here: it ends with `ray stop`, which
# stops every Ray of the user on the node.
folder=$(mktemp -d "/tmp/mixco-$SLURM_JOB_ID-XXXX") || exit 1
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
# Told to end, a node ends at once: the study goes back to the queue and moves nothing to others.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0

# ray_on COUNT SRUN_OPTION RAY_OPTIONS: starts Ray on so many nodes, with the CPUs that Slurm gave.
ray_on() {
    srun --nodes="$1" --ntasks="$1" "$2" --cpu-bind=none \
        bash -c 'exec ray start --block --num-cpus="$SLURM_CPUS_ON_NODE" "$@"' ray \
        --temp-dir="$folder/ray" --include-log-monitor=false --dashboard-agent-listen-port=0 \
        --min-worker-port=0 --max-worker-port=0 "${@:3}" >/dev/null &
}

ray_on 1 --nodelist="$SLURMD_NODENAME" --head --port=0 --include-dashboard=false \
    --disable-usage-stats --ray-client-server-port="$((20000 + SLURM_JOB_ID % 10000))"
head=$!
until [ -s "$folder/ray/ray_current_cluster" ]; do # the head writes its address there
    kill -0 "$head" 2>/dev/null || { rm -rf -- "$folder"; exit 1; }
    sleep 1
done
address=$(cat "$folder/ray/ray_current_cluster")
if [ "$SLURM_NNODES" -gt 1 ]; then
    ray_on "$((SLURM_NNODES - 1))" --exclude="$SLURMD_NODENAME" --address="$address"
fi

mixco study run "$@" --address "$address" &
study=$!
[ -z "$told" ] || kill -TERM "$study"
wait -n "$study" "$head" # until one of them has ended, or a signal arrives
trap '' USR1 TERM
kill -TERM "$study" 2>/dev/null
wait "$study"
code=$?

kill -TERM $(jobs -p) 2>/dev/null
wait
srun --ntasks-per-node=1 rm -rf -- "$folder" 2>/dev/null || rm -rf -- "$folder"
case $code in
130 | 143) # interrupted: by Slurm, or by `scancel JOB`, after which the job no longer runs
    if [ "$(squeue --noheader --job "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
        echo "back to the queue: job $SLURM_JOB_ID goes on with the study when it starts again"
        exec scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit "$code"
