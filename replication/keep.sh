#!/bin/sh
# Copies what is small of each run, from runs/ to replication/runs/: configuration, records, evaluations and connectomes, of
# experiments beside the main one the last connectome only.
set -eu
python=${PYTHON:-.venv/bin/python}
for config in $(find runs/replication runs/ablations runs/global runs/width_64 runs/depth_2 -name config.yaml 2>/dev/null | sort); do
    run=$(dirname "$config")
    [ -f "$run/records.jsonl" ] || continue
    kept="replication/$run"
    mkdir -p "$kept"
    cp "$config" "$run/records.jsonl" "$kept/"
    (cd "$run" && find evaluations -name '*.jsonl' 2>/dev/null) | while read -r file; do
        mkdir -p "$kept/$(dirname "$file")"
        cp "$run/$file" "$kept/$file"
    done
    case $run in runs/replication/*) which='generation_*' ;; *) which=generation_5 ;; esac
    for connectome in "$run"/connectomes/$which.connectome; do
        [ -f "$connectome" ] || continue
        mkdir -p "$kept/connectomes"
        target="$kept/connectomes/$(basename "$connectome")"
        [ "$target" -nt "$connectome" ] || "$python" cli.py connectome pack "$connectome" "$target"
    done
done
# Of the least text the curves too: all arms forget there what they knew.
if [ -d runs/ablations/text_20k ]; then
    "$python" cli.py report runs/ablations/text_20k --out runs/report_text_20k >/dev/null
    cp runs/report_text_20k/data/loss_over_training.csv replication/runs/ablations/text_20k/
fi
