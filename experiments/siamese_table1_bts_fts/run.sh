#!/usr/bin/env bash
# Siamese-NAS's Table 1: Batch Top Sampling against Fully Top Sampling on NAS-Bench-201: training time side by side in
# one process, and what is found over many repeats. The code is synflow. See ../siamese.sh; ROUNDS of the timing (3).
# Needs NASP_DATA with nasbench201_15625.csv.gz and zero_cost_proxies_9445.csv.gz.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
python "$here/measure.py" --rounds "${ROUNDS:-3}" --csv "$here/time.csv" || failed=1
WORDS="benchmark.source=csv predictor.nsam=false ${WORDS:-}"
LABELS=${LABELS:-100}
sweep_variants "nb201_table1_bts nb201_siamese_bts
nb201_table1_fts nb201_siamese_bts framework=fully_top_sampling"
report_variants --csv "$here/measured.csv" --plot "$here"
exit "$failed"
