#!/bin/sh
# Everything of one seed, one command after the other: sh replication/run.sh SEED [main | ablations | texts | rates]
# Started again it goes on where it stood. Several seeds may run beside each other. One core, about an hour and a half.
set -eu
seed=$1
part=${2:-all}
python=${PYTHON:-.venv/bin/python}
export OMP_NUM_THREADS=1 # the sums of two threads round otherwise: the same bits need the same number

fit() {
    "$python" cli.py fit --config "$@" --seed_everything "$seed"
}
ablation() { # NAME ARM CONNECTOME [OPTIONS]: an inner run that differs from the experiment's in one thing
    run="runs/ablations/$1/seed_{seed}" wiring="--wiring.arm $2 --wiring.connectome $3"
    shift 3
    fit replication/inner.yaml --run "$run" $wiring --data.validation_interval 100 --keep.snapshot_every 0 \
        --keep.snapshot_at '[]' "$@"
}

evolved="runs/replication/outer/seed_$seed"
last="$evolved/connectomes/generation_5.connectome"

arms() { # ARMS NAME [OPTIONS]: arms that differ from the experiment's in one thing other than the connectome
    arms=$1 name=$2
    shift 2
    for arm in $arms; do
        ablation "$name/$arm" "$arm" "$last" "$@"
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
if [ "$part" = texts ] || [ "$part" = all ]; then
    # How much text? Of text that no run and no evolution has read, in shards of 19,532 bytes, in as many steps.
    for text in 20k=small_000000.bin '78k=small_00000[0-3].bin' '195k=small_00000?.bin' '1953k=small_*.bin'; do
        arms 'Connectome NoConnectome RandomConnectome' "text_${text%%=*}" \
            --data.folder data/replication/more --data.train "small/${text#*=}"
    done
fi
if [ "$part" = rates ] || [ "$part" = all ]; then
    # Does one learning rate suit one arm better?
    for rate in 0.0022 0.0088 0.0176; do
        arms 'Connectome NoConnectome' "learning_rate_$rate" --model.learning_rate "$rate"
    done
fi
