#!/usr/bin/env bash
# All four stages of a chain, one after another: supernet, labels, search, retraining.
#   bash experiments/chain.sh mobilenet_mini            # or darts_mini, mobilenet, darts
#   SEEDS="0 1 2" bash experiments/chain.sh darts_mini  # three whole chains
# Further words go to every stage, those of data (data.path=/data/imagenet) to the ones that read images.
# STAGES="search retrain" runs these alone; RUNS is the folder of the runs. A stage that is finished is not repeated,
# one that was killed goes on from where it was.
set -euo pipefail
chain=${1:?"which chain: mobilenet, darts, mobilenet_mini or darts_mini"}
shift
runs=${RUNS:-runs}
case $chain in *_mini) space=${chain%_mini} small=_mini ;; *) space=$chain small= ;; esac
for seed in ${SEEDS:-0}; do
  for stage in ${STAGES:-supernet sample search retrain}; do
    words=()
    for word in "$@"; do # a search over a predictor's score has no data
      case $stage:$word in search:data.*) ;; *) words+=("$word") ;; esac
    done
    python -m nasp_lightning "+experiment=${space}_$stage$small" seed="$seed" paths.runs="$runs" \
      paths.chain="$runs/chain/${chain}_$seed" "${words[@]}" </dev/null
  done
done
