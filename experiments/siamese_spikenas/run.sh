#!/usr/bin/env bash
# Siamese-NAS on SpikeNAS-Bench, whose first three losses are measured for every architecture. See ../siamese.sh.
# Needs NASP_DATA with spikenas_cifar10_15625.csv.gz.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
# framework.initial=1: the same training, and all labels are random.
run_variants "spikenas_naive spikenas_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1
spikenas_naive_bts spikenas_siamese_bts estimation_code=none predictor.nsam=false
spikenas_siamese spikenas_siamese_bts predictor.nsam=false framework.initial=1
spikenas_siamese_shuffled spikenas_siamese_bts predictor.nsam=false framework.initial=1 data.shuffle_features=0
spikenas_siamese_nsam spikenas_siamese_bts framework.initial=1
spikenas_siamese_nsam_bts spikenas_siamese_bts
spikenas_siamese_nsam_bts_shuffled spikenas_siamese_bts data.shuffle_features=0
spikenas_gp spikenas_gaussian_process"
