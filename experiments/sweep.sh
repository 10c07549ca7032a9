# Sourced by run.sh of TNASP's experiments: sweeps them over splits and seeds, both cores busy, then reports.
#   run_experiments LINES [WORD...]   each line an experiment without its benchmark, and its words; the report's words
#   run_table TABLE LINES             the same beside the folder's published.csv, which has that TABLE
# By default all seeds of the small splits first, then one seed of the large ones. The environment can say otherwise:
#   RUNS        where run folders go (runs); a run that is finished there is not repeated, one that was killed goes on
#   BENCHMARKS  nb101, nb201 or both (both)
#   FILE        a file of NAS-Bench-101 at hand; PARTIAL=true where it holds only a part of the space
#   SPLITS      these splits alone, for one of the BENCHMARKS
#   SEEDS       of the small splits or of SPLITS (0,1,2,3,4); LARGE_SEEDS of the large ones (0)
#   WORDS       further words for every run, such as trainer.max_epochs=2 for a trial
# A failed run stops no other: the report is written, and the script ends with an error. Ctrl-C ends all of it.
set -euf
runs=${RUNS:-runs}
failed=0

words_of() { # BENCHMARK
  case $1 in
    nb101) echo "benchmark.partial=${PARTIAL:-false} benchmark.path=${FILE:-null}" ;;
    nb201) echo "benchmark.source=csv" ;;
  esac
}

splits_of() { # BENCHMARK small|large
  case $1:$2 in
    *:small) if [ -n "${SPLITS:-}" ]; then echo "$SPLITS"; elif [ "$1" = nb101 ]; then
      echo 100_all,172_all,424_test100,424_all; else echo 78_all,156_all,469_all; fi ;;
    *:large) if [ -n "${SPLITS:-}" ]; then :; elif [ "$1" = nb101 ]; then
      echo 4236_all; else echo 781_all,1563_all; fi ;;
  esac
}

sweep() { # BENCHMARK SPLITS SEEDS EXPERIMENT [WORD...]
  local benchmark=$1 splits=$2 seeds=$3 experiment=$1_$4
  shift 4
  python -m nasp_lightning -m "+experiment=$experiment" $(words_of "$benchmark") "paths.runs=$runs" \
    "+split=$splits" "seed=$seeds" "$@" ${WORDS:-} </dev/null && return
  local status=$?
  [ "$status" -lt 128 ] || exit "$status" # interrupted
  failed=1
}

run_experiments() { # LINES [REPORT'S WORD...]
  local lines=$1
  shift
  folders=
  for size in small large; do
    seeds=${SEEDS:-0,1,2,3,4}
    [ "$size" = small ] || seeds=${LARGE_SEEDS:-0}
    for benchmark in ${BENCHMARKS:-nb101 nb201}; do
      splits=$(splits_of "$benchmark" "$size")
      [ -n "$splits" ] || continue
      while read -r experiment words; do
        [ -n "$experiment" ] || continue
        sweep "$benchmark" "$splits" "$seeds" "$experiment" $words
        case " $folders " in *" ${benchmark}_$experiment "*) ;; *) folders="$folders ${benchmark}_$experiment" ;; esac
      done <<<"$lines"
    done
  done
  found=()
  for folder in $folders; do
    [ ! -d "$runs/$folder" ] || found+=("$runs/$folder")
  done
  python -m nasp_lightning.report "${found[@]}" "$@" \
    --csv "$here/measured.csv" --markdown "$here/measured.md" --plot "$here" || failed=1
  exit "$failed"
}

run_table() { # TABLE LINES
  run_experiments "$2" --table "$1" --published "$here/published.csv"
}

whole() { # PREDICTOR: the plain fit is the first phase of a self-evolution run; where those are, they are not made again
  if [ -d "$runs/nb101_$1_se" ] || [ -d "$runs/nb201_$1_se" ]; then echo "$1_se"; else echo "$1"; fi
}
