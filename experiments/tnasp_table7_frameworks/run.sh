#!/usr/bin/env bash
# TNASP's Table 7: Neural Predictor, NAO and TNASP, plain, with SemiNAS (SM) and with self-evolution (SE).
# By default NAS-Bench-101 is the official file. On the 20,001 architectures with known validation accuracy instead:
#   FILE=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord PARTIAL=true bash experiments/tnasp_table7_frameworks/run.sh
# Started again, it runs only what is missing; what else can be set is in experiments/sweep.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sweep.sh"
# The plain fit is the first phase of an SE run. The control, trained on the n + 200 labels that SE sees, comes last.
run_table "TNASP supplementary Table 7" "
neural_predictor_se
nao_se
tnasp_se
neural_predictor_sm
nao_sm
tnasp_sm
neural_predictor data.train_on_validation=true
nao data.train_on_validation=true
tnasp data.train_on_validation=true"
