#!/usr/bin/env bash
# Siamese-NAS's Figure 5 on NAS-Bench-201, CIFAR-10 and CIFAR-100; the code is synflow. See ../siamese.sh.
# Needs NASP_DATA with nasbench201_15625.csv.gz and zero_cost_proxies_9445.csv.gz.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
WORDS="benchmark.source=csv benchmark.dataset=${DATASETS:-cifar10,cifar100} ${WORDS:-}"
# framework.initial=1: the same training, and all labels are random.
sweep_variants "nb201_figure5_naive nb201_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1
nb201_figure5_naive_bts nb201_siamese_bts estimation_code=none predictor.nsam=false
nb201_figure5_siamese nb201_siamese_bts predictor.nsam=false framework.initial=1
nb201_figure5_siamese_shuffled nb201_siamese_bts predictor.nsam=false framework.initial=1 data.shuffle_features=0
nb201_figure5_siamese_nsam nb201_siamese_bts framework.initial=1
nb201_figure5_siamese_nsam_bts nb201_siamese_bts
nb201_figure5_naive_logistic nb201_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1 task.loss=logistic
nb201_figure5_siamese_nsam_bts_logistic nb201_siamese_bts task.loss=logistic
nb201_figure5_gp nb201_gaussian_process
nb201_figure5_gp_bts nb201_gaussian_process framework=batch_top_sampling
nb201_figure5_multiview nb201_multiview
nb201_figure5_brp nb201_brp_sampling job.repeats=${BRP_REPEATS:-5}"
report_variants --csv "$here/measured.csv" --plot "$here"
pair_variants "nb201_figure5_siamese nb201_figure5_naive
nb201_figure5_siamese nb201_figure5_siamese_shuffled
nb201_figure5_siamese_nsam nb201_figure5_siamese
nb201_figure5_siamese_nsam_bts nb201_figure5_siamese_nsam
nb201_figure5_naive_bts nb201_figure5_naive
nb201_figure5_siamese_nsam_bts nb201_figure5_gp_bts"
exit "$failed"
