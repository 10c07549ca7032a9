#!/usr/bin/env bash
# TNASP on NAS-Bench-201, CIFAR-10: plain, self-evolution, and the control that trains on the n + 200 labels.
# Needs NASP_DATA with nasbench201_15625.csv.gz.
# Started again, it runs only what is missing; what else can be set is in experiments/sweep.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
BENCHMARKS=nb201
. "$here/../sweep.sh"
# one fit gives the plain result (its first phase) and the self-evolution one
run_experiments "
tnasp_se task.loss=mse
tnasp task.loss=mse data.train_on_validation=true
tnasp_se task.loss=logistic
tnasp task.loss=logistic data.train_on_validation=true"
