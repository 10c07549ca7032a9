# Sourced by run.sh of Siamese-NAS's experiments: N + K of several variants at several numbers of labels, then the report.
#   sweep_variants LINES     each line a variant's name, its experiment, and its words: the runs
#   report_variants WORD...  the report of what was swept so far, with these words
#   pair_variants LINES      each line two variants: their regrets' mean difference, repeat by repeat
# The environment can say otherwise:
#   RUNS      where run folders go (runs); a run that is finished there is not repeated, one that was killed goes on
#   VARIANTS  these variants alone, by name
#   LABELS    N (30,60,100,150,200); TOP_K the K (30); REPEATS of each point (100)
#   WORDS     further words for every run, such as trainer.max_epochs=2 for a trial, or job.compile=true where there is a
#             C++ compiler: half the time of 100 repeats
# A failed run stops no other: the report is written, and the script ends with an error. Ctrl-C ends all of it.
set -euf
runs=${RUNS:-runs}

failed=0
found=() # folders of the variants that were run

sweep_variants() { # LINES
  local status
  while read -r name experiment words; do
    case " ${VARIANTS:-$name} " in *" $name "*) ;; *) continue ;; esac
    status=0
    python -m nasp_lightning -m "+experiment=$experiment" job=n_plus_k "name=$name" "paths.runs=$runs" \
      "data.train_size=${LABELS:-30,60,100,150,200}" data.validation_size=0 "job.repeats=${REPEATS:-100}" \
      "job.top_k=${TOP_K:-30}" $words ${WORDS:-} </dev/null || status=$?
    [ "$status" -lt 128 ] || exit "$status" # interrupted
    [ "$status" -eq 0 ] || failed=1
  done <<<"$1"
  while read -r name _; do
    [ ! -d "$runs/$name" ] || found+=("$runs/$name")
  done <<<"$1"
}

report_variants() { # WORD...
  python -m nasp_lightning.report "${found[@]}" "$@" || failed=1
}

pair_variants() { # LINES
  local pairs=() name other
  while read -r name other; do
    [ ! -d "$runs/$name" ] || [ ! -d "$runs/$other" ] || pairs+=(--pair "$name" "$other")
  done <<<"$1"
  [ ${#pairs[@]} -eq 0 ] || python -m nasp_lightning.report.paired "${found[@]}" "${pairs[@]}" \
    --csv "$here/paired.csv" --markdown "$here/paired.md" || failed=1
}
