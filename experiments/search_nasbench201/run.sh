#!/usr/bin/env bash
# Searches on NAS-Bench-201's three data sets: regret against the number of labels.
# Needs NASP_DATA with nasbench201_15625.csv.gz. Started again, it runs only what is missing;
# SEEDS=0,1,2 asks for three times the repeats, NEURAL_REPEATS for those of neural predictors, JOBS=2 for two runs at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
search() {
  python -m nasp_lightning -m benchmark.source=csv paths.runs="$runs" seed="${SEEDS:-0}" \
    benchmark.dataset=cifar10,cifar100,ImageNet16-120 hydra.launcher.jobs="${JOBS:-null}" "$@"
}
search +experiment=nb201_search_random search.repeats=500
search +experiment=nb201_search_regularized_evolution search.repeats=300
search +experiment=nb201_search_ranking data.train_size=30,80,130,180 search.repeats=10
search +experiment=nb201_search_bonas search.repeats=5
search +experiment=nb201_search_ranking predictor=gradient_boosting data.train_size=80 search.repeats=10
search +experiment=nb201_search_nsga2 search.repeats=100
search +experiment=nb201_bonas job=search search=bonas name=nb201_search_bonas_bonas search.repeats="${NEURAL_REPEATS:-3}"
for predictor in neural_predictor nao tnasp pinat brp mlp bonas; do # each with its own recipe
  search "+experiment=nb201_$predictor" job=search search=ranking "name=nb201_search_ranking_$predictor" \
    data.train_size=30,80,130 search.repeats="${NEURAL_REPEATS:-3}"
done
python -m nasp_lightning.report "$runs"/nb201_search_* --csv "$here/measured.csv" --plot "$here"
