#!/usr/bin/env bash
# Siamese-NAS's Figure 4: accuracy against multiply-adds and parameters, of NAS-Bench-201, of its part under 35 million
# multiply-adds, and of Tiny-NanoBench's members. Nothing is trained.
# Needs NASP_DATA with nasbench201_15625.csv.gz; Tiny-NanoBench is in the package.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python -m nasp_lightning.report.correlation nasbench201/csv/cifar10 tiny_nasbench201/csv/cifar10 tinynano/cpu/cifar10 \
  --columns flops parameters --csv "$here/measured.csv" --bins "$here/distribution.csv" --plot "$here"
