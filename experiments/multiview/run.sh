#!/usr/bin/env bash
# The multi-view process beside the plain Gaussian process on every benchmark that has a table.
#   NASP_DATA=<folder> bash experiments/multiview/run.sh [PART...]
# RUNS is where run folders go (runs), SEEDS how many (10). Started again, it runs only what is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python "$here/measure.py" --runs "${RUNS:-runs}" --seeds "${SEEDS:-10}" "$@"
python "$here/table.py" "${RUNS:-runs}"
