#!/usr/bin/env bash
# Siamese-NAS's Figure 8: zero-cost proxies against accuracy, and synflow in the code's place inside the predictor, on
# NAS-Bench-201. The runs are a part of Figure 5's and shared with it where RUNS is the same. See ../siamese.sh.
# Needs NASP_DATA with nasbench201_15625.csv.gz, zero_cost_proxies_9445.csv.gz and cifar10 (Tiny-NanoBench is in the package).
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
tables="nasbench201/csv/cifar10 nasbench201/csv/cifar100"
python -m nasp_lightning.report.correlation $tables --columns proxies --csv "$here/correlation.csv" || failed=1
python -m nasp_lightning.report.correlation $tables --columns synflow snip grasp nwot --plot "$here" || failed=1
python "$here/tinynano.py" --csv "$here/tinynano.csv" --plot "$here" || failed=1
WORDS="benchmark.source=csv benchmark.dataset=${DATASETS:-cifar100} ${WORDS:-}"
LABELS=${LABELS:-60,100}
sweep_variants "nb201_figure5_naive nb201_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1
nb201_figure5_siamese nb201_siamese_bts predictor.nsam=false framework.initial=1
nb201_figure5_siamese_shuffled nb201_siamese_bts predictor.nsam=false framework.initial=1 data.shuffle_features=0"
report_variants --csv "$here/measured.csv" --plot "$here"
pair_variants "nb201_figure5_siamese nb201_figure5_naive
nb201_figure5_siamese nb201_figure5_siamese_shuffled"
exit "$failed"
