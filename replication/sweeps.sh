#!/bin/sh
# What needs an evolution of its own, as job arrays of one core a job: sh replication/sweeps.sh [OPTIONS OF SUBMIT]
# Look at the plan with --dry_run; --sbatch='--time=…' says what the site wants. Called again, it submits what is left of each
# experiment that has no job in the queue any more.
set -u
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1 # the same bits need the same number of threads

sweep() { # EXPERIMENT SEEDS OUTER ARMS [OPTIONS]
    experiment=$1 seeds=$2 outer=$3 arms=$4
    shift 4
    "$python" cli.py submit --experiment "$experiment" --seeds "$seeds" --gpus 0 --outer "$outer" \
        --inner replication/inner.yaml --arms "$arms" "$@" || failed=1
}

failed=0
mkdir -p runs
sed 's/scope: layer-wise/scope: global/' replication/outer.yaml >runs/outer_global.yaml
sweep global 3 runs/outer_global.yaml '[Connectome]' "$@"
sweep width_64 2 replication/outer.yaml '[Connectome,NoConnectome]' "$@" -- --model.n_embd 64 --model.n_head 2
sweep depth_2 2 replication/outer.yaml '[Connectome,NoConnectome]' "$@" -- --model.n_layer 2
exit $failed
