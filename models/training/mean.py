#!/usr/bin/env python3
"""The weighted mean of two weights files of the same nets, one of which was trained on from the other.

    pip install numpy safetensors
    python models/training/mean.py A.safetensors B.safetensors SHARE_OF_B OUT.safetensors

A training on few sentences comes closer to them and farther from all others; the mean keeps much of both (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models").
"""
import sys

import numpy as np
from safetensors.numpy import load_file, save_file


def main(first, second, share, out):
    first, second, share = load_file(first), load_file(second), float(share)
    if first.keys() != second.keys():
        sys.exit("these are not the weights of the same nets")
    wide = lambda weights, name: weights[name].astype(np.float32)
    save_file({name: (1 - share) * wide(first, name) + share * wide(second, name) for name in first}, out)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
