#!/usr/bin/env bash
# One turn of an array task that is finished when FILE is there: trains by srun, one process per GPU, then asks SLURM for
# another turn if there is more to do.
#
#   exec slurm/until_finished.sh FILE RUN OPTIONS...        the options are those of `python cli.py fit`
#
# A signal (SIGUSR1 before the time limit, SIGTERM at preemption) makes training write a checkpoint and leave with 0, so
# the exit status does not tell whether it is finished; FILE does. A turn without a new checkpoint is the last one, however
# it ended: what fails in the same place twice would be requeued for ever.
set -euo pipefail

file=$1 run=$2
shift 2
task=$SLURM_JOB_ID
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then # in the last task of an array, its job id alone means all of them
    task=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
fi

say() { echo "$(date '+%F %T') task $task, turn $((${SLURM_RESTART_COUNT:-0} + 1)): $*"; }
newest() { find "$run/checkpoints" -name 'step_*.ckpt' 2>/dev/null | sort | tail -n 1; }

if [ -e "$file" ]; then
    say "$file is there already"
    exit 0
fi
if [ -n "${SETUP:-}" ]; then
    set +u # what sites put there often reads unset variables
    eval "$SETUP"
    set -u
fi

before=$(newest || true)
say "starts from ${before:-the beginning} on ${SLURM_JOB_NODELIST:-this node}"
status=0
srun --kill-on-bad-exit=1 ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} \
    "${PYTHON:-.venv/bin/python}" cli.py fit "$@" --run "$run" \
    --trainer.devices "${SLURM_NTASKS_PER_NODE:-1}" --trainer.num_nodes "$SLURM_JOB_NUM_NODES" || status=$?
after=$(newest || true)

if [ -e "$file" ]; then
    say "finished: $file"
    exit 0
fi
if [ "$after" = "$before" ]; then
    say "stopped with status $status and no new checkpoint since it started: not requeued. The cause stands above;" \
        "once it is gone, the same submission does what is left"
    exit $((status ? status : 1))
fi
say "stopped with status $status at $after: requeued"
if scontrol requeue "$task"; then
    sleep 300 # SLURM ends this script
fi
say "could not be requeued: the same submission does what is left"
exit 1
