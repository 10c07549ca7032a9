#!/usr/bin/env bash
# Searches on NAS-Bench-201's three data sets: regret against the number of labels.
# Needs NASP_DATA with nasbench201_15625.csv.gz. Started again, it runs only what is missing;
# SEEDS=0,1,2 asks for three times the repeats, JOBS=2 for two runs at once; REPEATS,
# BONAS_REPEATS and NEURAL_REPEATS are those of Bayesian optimization, of BONAS' network, of rankings by neural predictors.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
search() {
  python -m nasp_lightning -m benchmark.source=csv paths.runs="$runs" seed="${SEEDS:-0}" \
    benchmark.dataset=cifar10,cifar100,ImageNet16-120 hydra.launcher.jobs="${JOBS:-null}" "$@"
}
search +experiment=nb201_search_random search.repeats=500
search +experiment=nb201_search_regularized_evolution search.repeats=300
search +experiment=nb201_search_nsga2 search.repeats=100
for predictor in gaussian_process gradient_boosting; do
  search +experiment=nb201_search_ranking predictor=$predictor data.train_size=30,80,130,180 search.repeats=10
done
for predictor in multiview gaussian_process; do # the runs of ../multiview/search.sh, shared where RUNS is the same
  search +experiment=nb201_search_bonas predictor=$predictor search.labels=150 search.repeats="${REPEATS:-100}"
done
search +experiment=nb201_bonas job=search search=bonas name=nb201_search_bonas_bonas search.labels=150 \
  search.repeats="${BONAS_REPEATS:-20}"
for predictor in brp neural_predictor nao tnasp pinat mlp bonas; do # each with its own recipe
  search "+experiment=nb201_$predictor" job=search search=ranking "name=nb201_search_ranking_$predictor" \
    data.train_size=30,80,130 search.repeats="${NEURAL_REPEATS:-3}"
done
python -m nasp_lightning.report "$runs"/nb201_search_* --csv "$here/measured.csv" --plot "$here"
