#!/usr/bin/env bash
# Classical predictors on hand-made graph features: a Gaussian process and gradient boosting.
# By default NAS-Bench-101 is the official file. On the 20,001 architectures with known validation accuracy instead:
#   FILE=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord PARTIAL=true bash experiments/classical_baselines/run.sh
# Started again, it runs only what is missing; what else can be set is in experiments/sweep.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sweep.sh"
run_experiments "
gaussian_process
gradient_boosting"
