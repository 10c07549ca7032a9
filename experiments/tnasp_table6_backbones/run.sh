#!/usr/bin/env bash
# TNASP's Table 6: its transformer replaced by an MLP or by a GCN.
# By default NAS-Bench-101 is the official file. On the 20,001 architectures with known validation accuracy instead:
#   FILE=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord PARTIAL=true bash experiments/tnasp_table6_backbones/run.sh
# Started again, it runs only what is missing; what else can be set is in experiments/sweep.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../sweep.sh"
run_table "TNASP supplementary Table 6" "
tnasp_mlp
tnasp_gcn
$(whole tnasp)"
