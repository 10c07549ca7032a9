#!/usr/bin/env bash
# TNASP on NAS-Bench-201, CIFAR-10: plain, self-evolution, and the control that trains on the n + 200 labels.
# Needs NASP_DATA with nasbench201_15625.csv.gz. Started again, it runs only what is missing;
# SEEDS="range(0,10)" or SPLITS=… asks for more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
common="benchmark.source=csv paths.runs=$runs +split=${SPLITS:-78_all,156_all,469_all,781_all} seed=${SEEDS:-0,1,2,3,4}"
for loss in mse logistic; do
  # one fit gives the plain result (its first phase) and the self-evolution one
  python -m nasp_lightning -m +experiment=nb201_tnasp_se $common task.loss=$loss
  python -m nasp_lightning -m +experiment=nb201_tnasp $common task.loss=$loss data.train_on_validation=true
done
python -m nasp_lightning.report "$runs"/nb201_tnasp_se "$runs"/nb201_tnasp \
  --csv "$here/measured.csv" --markdown "$here/measured.md" --plot "$here"
