#!/usr/bin/env bash
# The chain's loop on NAS-Bench-Macro, where the truth is known: labels and choice from run 0, regret of the mean.
# Needs NASP_DATA with nas_bench_macro_6561.csv.gz. Started again, it runs only what is missing, and a run that was
# killed goes on with its next repeat. TNASP=0 leaves TNASP out, TNASP=20 asks for 20 repeats of it (5).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${RUNS:-runs}
search() {
  python -m nasp_lightning -m paths.runs="$runs" seed="${SEEDS:-0}" hydra.launcher.jobs="${JOBS:-null}" "$@" </dev/null
}
search +experiment=macro_search_random
search +experiment=macro_search_regularized_evolution
search +experiment=macro_search_spos,macro_search_nsga2 predictor=gaussian_process
if [ "${TNASP:-5}" -gt 0 ]; then
  for evolution in nsga2 spos; do # one at a time: with several experiments at once, Hydra knows no search.batch
    search +experiment=macro_search_$evolution predictor=tnasp search.batch=20 search.repeats="${TNASP:-5}"
  done
fi
python -m nasp_lightning.report "$runs"/macro_search_* --csv "$here/measured.csv" --plot "$here"
python "$here/fronts.py" "$runs" "$here"
