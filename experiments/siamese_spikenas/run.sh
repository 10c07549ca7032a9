#!/usr/bin/env bash
# Siamese-NAS on SpikeNAS-Bench, whose first three losses are measured for every architecture. See ../siamese.sh.
# Needs NASP_DATA with spikenas_cifar10_15625.csv.gz.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../siamese.sh"
# framework.initial=1: the same training, and all labels are random.
sweep_variants "spikenas_naive spikenas_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1
spikenas_naive_bts spikenas_siamese_bts estimation_code=none predictor.nsam=false
spikenas_siamese spikenas_siamese_bts predictor.nsam=false framework.initial=1
spikenas_siamese_shuffled spikenas_siamese_bts predictor.nsam=false framework.initial=1 data.shuffle_features=0
spikenas_siamese_nsam spikenas_siamese_bts framework.initial=1
spikenas_siamese_nsam_bts spikenas_siamese_bts
spikenas_siamese_nsam_bts_shuffled spikenas_siamese_bts data.shuffle_features=0
spikenas_naive_logistic spikenas_siamese_bts estimation_code=none predictor.nsam=false framework.initial=1 task.loss=logistic
spikenas_siamese_nsam_bts_logistic spikenas_siamese_bts task.loss=logistic
spikenas_siamese_delta spikenas_siamese_bts predictor.nsam=false framework.initial=1 predictor.delta=0.5
spikenas_gp spikenas_gaussian_process
spikenas_mv spikenas_multiview
spikenas_gp_bts spikenas_gaussian_process framework=batch_top_sampling"
report_variants --csv "$here/measured.csv" --plot "$here"
pair_variants "spikenas_siamese spikenas_siamese_shuffled
spikenas_siamese_nsam_bts spikenas_siamese_nsam_bts_shuffled
spikenas_siamese_shuffled spikenas_naive
spikenas_siamese_nsam spikenas_siamese
spikenas_naive_bts spikenas_naive
spikenas_siamese_nsam_bts spikenas_siamese_nsam
spikenas_siamese_nsam_bts spikenas_gp_bts
spikenas_gp_bts spikenas_gp"

labels_needed() { # FILE WITHOUT WITH...
  python -m nasp_lightning.report.equal_labels "$here/measured.csv" --without "$2" --with "${@:3}" \
    --code-cost 0.003 --csv "$here/$1.csv" --markdown "$here/$1.md" || failed=1
}
if [ -z "${VARIANTS:-}" ]; then # the paper's Eq. 1, at the paper's cost of a code
  labels_needed equal_labels spikenas_naive spikenas_siamese spikenas_siamese_nsam spikenas_siamese_shuffled
  labels_needed equal_labels_bts spikenas_naive_bts spikenas_siamese_nsam_bts spikenas_siamese_nsam_bts_shuffled
fi
exit "$failed"
