#!/usr/bin/env bash
# Siamese-NAS's Figure 7: lightweight search in Tiny-NASBench-201 and Tiny-NanoBench, K fixed at 5 and at 10. One run
# evaluates the top 10, and with them the top 5. TOP_K is not for this one; LABELS (20,40,60,90). See ../siamese.sh.
# Needs NASP_DATA with nasbench201_15625.csv.gz and zero_cost_proxies_9445.csv.gz; Tiny-NanoBench is in the package.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
TOP_K=10
words="benchmark=tiny_nasbench201 benchmark.source=csv"
naive="estimation_code=none predictor.nsam=false framework.initial=1" # no code, random labels
LABELS=${LABELS:-20,40,60,90}
sweep_variants "tiny_nasbench201_siamese_nsam_bts nb201_siamese_bts $words
tiny_nasbench201_naive nb201_siamese_bts $words $naive
tinynano_siamese_nsam_bts tinynano_siamese_bts
tinynano_naive tinynano_siamese_bts $naive"
report_variants --top-k 5 10 --csv "$here/measured.csv" --plot "$here"
exit "$failed"
