#!/bin/sh
# Everything of one seed, one command after the other: sh replication/run.sh SEED [main | ablations | text]
# Started again it goes on where it stood. Several seeds may run beside each other. One core, about two hours.
set -eu
seed=$1
part=${2:-all}
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1 # the sums of two threads round otherwise: the same bits need the same number

fit() {
    "$python" cli.py fit --config "$@" --seed_everything "$seed"
}
ablation() { # NAME ARM CONNECTOME [OPTIONS]: an inner run that differs from the experiment's in one thing
    name=$1 arm=$2 connectome=$3
    shift 3
    fit replication/inner.yaml --run "runs/ablations/$name/seed_{seed}" --wiring.arm "$arm" \
        --wiring.connectome "$connectome" --data.validation_interval 100 --keep.snapshot_every 0 \
        --keep.snapshot_at '[]' "$@"
}

evolved="runs/replication/outer/seed_$seed"
last="$evolved/connectomes/generation_5.connectome"

text() { # NAME SHARDS: both arms on other text, of which no run and no evolution has seen any, in as many steps
    for arm in Connectome NoConnectome; do
        ablation "$1/$arm" "$arm" "$last" --data.folder data/replication/more --data.train "small/$2"
    done
}

if [ "$part" = main ] || [ "$part" = all ]; then
    fit replication/outer.yaml
    for arm in Connectome NoConnectome RandomConnectome; do
        fit replication/inner.yaml --wiring.arm "$arm"
    done
fi
if [ "$part" = ablations ] || [ "$part" = all ]; then
    # What of the connectome helps: its signs, its values, its mask, its training?
    ablation shuffled_signs ShuffledSigns "$last"
    ablation positions_only PositionsOnly "$last"
    ablation initialisation_only InitialisationOnly "$last"
    ablation trained_weights PositionsOnly "$last" --model.checkpoint "$evolved/generations/5.safetensors"
    # Its embedding, or its blocks? The rest is wired at random.
    parts="runs/ablations/parts/seed_$seed"
    mkdir -p "$parts"
    "$python" cli.py connectome random "$last" "$parts/random.connectome" --seed "$seed"
    "$python" cli.py connectome graft "$parts/random.connectome" "$last" wte "$parts/embedding.connectome"
    "$python" cli.py connectome graft "$last" "$parts/random.connectome" wte "$parts/blocks.connectome"
    ablation embedding_only Connectome "$parts/embedding.connectome"
    ablation blocks_only Connectome "$parts/blocks.connectome"
    # Which density is best?
    for generation in 0 1 2 3 4; do
        ablation "generation_$generation" Connectome "$evolved/connectomes/generation_$generation.connectome"
    done
fi
if [ "$part" = text ] || [ "$part" = all ]; then
    # How much text? Shards of 19,532 bytes each.
    text text_20k small_000000.bin
    text text_78k 'small_00000[0-3].bin'
    text text_195k 'small_00000?.bin'
    text text_1953k 'small_*.bin'
fi
