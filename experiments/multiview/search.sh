#!/usr/bin/env bash
# Search on NAS-Bench-201's three data sets with 150 labels: Bayesian optimization with the multi-view and with the plain
# process, beside BONAS, BRP-NAS, regularised evolution and random search.
# Needs NASP_DATA with nasbench201_15625.csv.gz. Started again, it runs only what is missing, and a run that was killed
# goes on with its next repeat. RUNS is where run folders go, JOBS how many runs at once; REPEATS, BONAS_REPEATS and
# BRP_REPEATS ask for other numbers of repeats.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
search() {
  python -m nasp_lightning -m "$@" benchmark.source=csv benchmark.dataset=cifar10,cifar100,ImageNet16-120 \
    paths.runs="$runs" seed=0 hydra.launcher.jobs="${JOBS:-null}" </dev/null
}
for predictor in multiview gaussian_process; do
  search +experiment=nb201_search_bonas predictor=$predictor search.labels=150 search.repeats="${REPEATS:-100}"
done
search +experiment=nb201_search_random search.repeats=500
search +experiment=nb201_search_regularized_evolution search.repeats=300
search +experiment=nb201_bonas job=search search=bonas name=nb201_search_bonas_bonas search.labels=150 \
  search.repeats="${BONAS_REPEATS:-20}"
search +experiment=nb201_brp job=search search=ranking name=nb201_search_ranking_brp data.train_size=30,80,130 \
  search.repeats="${BRP_REPEATS:-3}" # and the 20 best predicted
python -m nasp_lightning.report "$runs"/nb201_search_* --csv "$here/search.csv" --plot "$here"
