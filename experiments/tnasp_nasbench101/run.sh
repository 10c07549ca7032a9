#!/usr/bin/env bash
# TNASP on NAS-Bench-101: plain, self-evolution, and the control that trains on the n + 200 labels.
# By default on the official file. Here it ran on the 20,001 architectures with known validation accuracy:
#   FILE=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord PARTIAL=true bash experiments/tnasp_nasbench101/run.sh
# Started again, it runs only what is missing; what else can be set is in experiments/sweep.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
BENCHMARKS=nb101
. "$here/../sweep.sh"
# one fit gives the plain result (its first phase) and the self-evolution one
run_experiments "
tnasp_se task.loss=mse
tnasp task.loss=mse data.train_on_validation=true
tnasp_se task.loss=logistic
tnasp task.loss=logistic data.train_on_validation=true"
