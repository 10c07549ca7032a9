#!/usr/bin/env bash
# Siamese-NAS's Figure 6 on NAS-Bench-201: (a) N fixed at 30 and K up to 170, (b) K fixed at 30 and N up to 170.
# FIXED=n or FIXED=k is one half of it; LABELS are those of (b), TOP_K is not for this one. See ../siamese.sh.
# Needs NASP_DATA with nasbench201_15625.csv.gz and zero_cost_proxies_9445.csv.gz.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
WORDS="benchmark.source=csv benchmark.dataset=${DATASETS:-cifar100} ${WORDS:-}"
# framework.initial=1: the same training, and all labels are random.
lines="nb201_figure6_naive nb201_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1
nb201_figure6_siamese nb201_siamese_bts predictor.nsam=false framework.initial=1
nb201_figure6_siamese_nsam nb201_siamese_bts framework.initial=1
nb201_figure6_siamese_nsam_bts nb201_siamese_bts"
if [ "${FIXED:-n}" = n ]; then # one run has all K
  LABELS=30 TOP_K=170 sweep_variants "$lines"
  report_variants --fixed-n --csv "$here/fixed_n/measured.csv" --plot "$here/fixed_n"
  found=()
fi
if [ "${FIXED:-k}" = k ]; then # the runs of Figure 5, shared with it where RUNS is the same
  LABELS=${LABELS:-30,60,100,150} TOP_K=30 sweep_variants "${lines//figure6/figure5}"
  report_variants --csv "$here/fixed_k/measured.csv" --plot "$here/fixed_k"
fi
exit "$failed"
