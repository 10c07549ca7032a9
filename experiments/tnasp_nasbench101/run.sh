#!/usr/bin/env bash
# TNASP on NAS-Bench-101: plain, self-evolution, and the control that trains on the n + 200 labels.
# By default on the official file. Here it ran on the 20,001 architectures with known validation accuracy:
#   FILE=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord PARTIAL=true bash experiments/tnasp_nasbench101/run.sh
# Started again, it runs only what is missing; SEEDS="range(0,10)" or SPLITS=… asks for more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
common="benchmark.partial=${PARTIAL:-false} benchmark.path=${FILE:-null} paths.runs=$runs"
common="$common +split=${SPLITS:-100_all,172_all,424_all,4236_all} seed=${SEEDS:-0,1,2,3,4}"
for loss in mse logistic; do
  # one fit gives the plain result (its first phase) and the self-evolution one
  python -m nasp_lightning -m +experiment=nb101_tnasp_se $common task.loss=$loss
  python -m nasp_lightning -m +experiment=nb101_tnasp $common task.loss=$loss data.train_on_validation=true
done
python -m nasp_lightning.report "$runs"/nb101_tnasp_se "$runs"/nb101_tnasp \
  --csv "$here/measured.csv" --markdown "$here/measured.md" --plot "$here"
