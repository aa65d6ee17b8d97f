#!/usr/bin/env bash
# How much memory a training takes on a record as long as the famous one: 420,000 readings, one every 10 minutes.
#
#   crates/train/benches/memory.sh jena_2020_10min.csv [EXPERIMENT ...]
#
# The record is a year of 10-minute readings in the Jena format (bgc-jena.mpg.de/wetter), eight times over, as 2009 to
# 2016. Two epochs are run, as later ones take no more, and all else as usual: windows, scores, the model file, a report.
set -euo pipefail
year="$(realpath "${1:?a file of a year of readings is needed}")"
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
shift
experiments=("$@")
[[ ${#experiments[@]} -eq 0 ]] && experiments=(gru station-pair)

cargo build --release --quiet --features train
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# The time is behind a quote or not; 29 February is left out of the years without one. Rows of 2020 alone, whose last
# reading is the first of the year after.
head -n 1 "$year" >"$folder/record.csv"
for of in 2009 2010 2011 2012 2013 2014 2015 2016; do
    awk -v of="$of" 'NR > 1 && substr($0, match($0, /[0-9]/) + 6, 4) == "2020" {
        at = match($0, /[0-9]/)
        if (substr($0, at, 5) == "29.02" && of % 4) next
        print substr($0, 1, at + 5) of substr($0, at + 10)
    }' "$year" >>"$folder/record.csv"
done
echo "$(($(wc -l <"$folder/record.csv") - 1)) readings"

for experiment in "${experiments[@]}"; do
    target/release/forecastd train --csv "$folder/record.csv" --experiment "$experiment" --epochs 2 --steps 200 \
        --out "$folder/model.onnx" --report "$folder/report.html" --ship-anyway --refit validation --quiet \
        >"$folder/result" &
    pid=$!
    peak=0
    while [[ -e /proc/$pid/status ]]; do
        now="$(awk '/^VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null || true)"
        [[ ${now:-0} -gt $peak ]] && peak=$now
        sleep 0.1
    done
    wait "$pid"
    printf '%-24s %5d MiB at most\n' "$experiment" $((peak / 1024))
done
