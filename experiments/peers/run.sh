#!/usr/bin/env bash
# The neural peers that TNASP's tables do not have, and those that they have, plain, with each one's published recipe.
# By default NAS-Bench-101 is the official file. On the 20,001 architectures with known validation accuracy instead:
#   FILE=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord PARTIAL=true bash experiments/peers/run.sh
# Started again, it runs only what is missing; what else can be set is in experiments/sweep.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sweep.sh"
run_experiments "
$(whole tnasp)
$(whole neural_predictor)
$(whole nao)
pinat
brp
bonas
mlp" --plain
