#!/usr/bin/env bash
# Siamese-NAS's Figure 1: Estimation Codes against accuracy, overall and among the best. Nothing is trained.
# Needs NASP_DATA with spikenas_cifar10_15625.csv.gz; Tiny-NanoBench is in the package.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python -m nasp_lightning.report.correlation spikenas/csv/cifar10 tinynano/cpu/cifar10 --columns losses parameters \
  --csv "$here/measured.csv" --plot "$here"
