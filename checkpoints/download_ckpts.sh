#!/usr/bin/env bash
# Download the SAM 2.1 checkpoints into this folder, or those that are named:
#
#     ./download_ckpts.sh                                  # all four
#     ./download_ckpts.sh sam2.1_hiera_tiny sam2_hiera_large
#
# Downloads are resumed and verified; PYTHON chooses another interpreter than python3.
set -eu
cd "$(dirname "$0")"
if [ $# -eq 0 ]; then
    set -- sam2.1_hiera_tiny sam2.1_hiera_small sam2.1_hiera_base_plus sam2.1_hiera_large
fi
here=$PWD
cd ..  # the package of this source tree, if it is not installed
exec "${PYTHON:-python3}" -m sam2nb download --folder "$here" "$@"
