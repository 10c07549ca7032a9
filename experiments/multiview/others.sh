#!/usr/bin/env bash
# Gradient boosting (three seeds) and TNASP (one) on benchmarks that the multi-view process' design did not look at.
# Needs NASP_DATA. Started again, it runs only what is missing. RUNS is where run folders go, JOBS how many runs at once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
fit() { python -m nasp_lightning -m "$@" paths.runs="$runs" hydra.launcher.jobs="${JOBS:-null}" </dev/null; }
boosted() { fit "+experiment=$1_gaussian_process" predictor=gradient_boosting "name=$1_gradient_boosting" seed=0,1,2 "${@:2}"; }
unseen=(benchmark.source=csv benchmark.dataset=cifar100,ImageNet16-120)
boosted nb201 "${unseen[@]}" +split=78_all,156_all,469_all
boosted macro data.train_size=50,100,200
boosted spikenas data.train_size=78,156,469
fit +experiment=nb201_tnasp "${unseen[@]}" +split=78_all,156_all seed=0
fit +experiment=macro_tnasp data.train_size=50,100,200 seed=0
python -m nasp_lightning.report "$runs"/nb201_gradient_boosting "$runs"/nb201_tnasp "$runs"/macro_gradient_boosting \
  "$runs"/macro_tnasp "$runs"/spikenas_gradient_boosting --csv "$here/others.csv" --markdown "$here/others.md"
