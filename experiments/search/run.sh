#!/usr/bin/env bash
# Search with few labels: Bayesian optimization over the whole space beside its rivals, on five benchmarks.
#   NASP_DATA=<folder> bash experiments/search/run.sh [PART...]
# A part is one of: own rivals slow unlisted fidelities. RUNS is where run folders go (runs), SEED the seed (0).
# Started again, it runs only what is missing; table.py then writes measured.csv and measured.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
parts=${*:-own rivals slow unlisted fidelities}
own="search=bayesian_optimization predictor=multiview"

benchmark() { # the words that choose a benchmark
    case $1 in
        nasbench101) echo "benchmark=nasbench101 benchmark.partial=true \
            benchmark.path=$NASP_DATA/nasbench101/nasbench101_20001.tfrecord" ;;
        macro | spikenas) echo "benchmark=$1" ;;
        *) echo "benchmark=nasbench201 benchmark.source=csv benchmark.dataset=$1" ;;
    esac
}

search() { # benchmark, name of the run, and words
    local folder=$runs/search/$1/$2 words
    words=$(benchmark "$1")
    shift 2
    [ -e "$folder/results.json" ] && return
    # shellcheck disable=SC2086 # words are many
    python -m nasp_lightning job=search $words "$@" seed="${SEED:-0}" hydra.run.dir="$folder"
}

for part in $parts; do
    case $part in
        own)
            for name in cifar10 cifar100 ImageNet16-120; do
                search $name own $own search.labels=100 search.repeats=100
            done
            for name in nasbench101 macro spikenas; do
                search $name own $own search.labels=150 search.repeats=30
            done
            ;;
        rivals)
            for name in cifar10 cifar100 ImageNet16-120 nasbench101 macro spikenas; do
                search $name random search=random search.labels=150 search.repeats=100
                search $name evolution search=regularized_evolution search.labels=150 search.repeats=100
                search $name local search=local_search search.labels=150 search.repeats=100
            done
            ;;
        slow)
            for name in cifar100 ImageNet16-120 nasbench101 macro spikenas cifar10; do
                search $name plain search=bayesian_optimization predictor=gaussian_process \
                    search.labels=100 search.repeats=10 search.batch=5
                search $name bonas search=bonas predictor=multiview search.labels=100 search.repeats=10
                search $name weaknas search=weaknas predictor=gradient_boosting search.labels=100 search.repeats=10
                search $name npenas search=npenas predictor=gaussian_process search.labels=100 search.repeats=10
                search $name bananas search=bananas predictor=bananas search.labels=100 search.repeats=10
                search $name bts search=batch_top_sampling predictor=gaussian_process search.labels=100 search.repeats=10
                search $name brp search=brp_sampling predictor=gaussian_process search.labels=100 search.repeats=10
            done
            ;;
        unlisted)
            for name in cifar100 macro cifar10 ImageNet16-120; do
                search $name unlisted $own search.listed=false search.labels=100 search.repeats=10
            done
            ;;
        fidelities)
            for name in cifar10 cifar100 ImageNet16-120; do
                search $name fidelities search=multi_fidelity predictor=multiview search.labels=25 \
                    search.repeats=30 'evaluator.fidelities={12:0.06}'
                for rival in successive_halving hyperband dehb; do
                    search $name $rival search=$rival search.labels=50 search.repeats=50 \
                        'evaluator.fidelities={12:0.06}'
                done
            done
            ;;
        *) echo "no part $part" >&2; exit 2 ;;
    esac
done
python "$here/table.py" "$runs/search"
