# SPDX-License-Identifier: Apache-2.0
"""How many labels are right, in percent, for `scalec check --metric`: `labels.py SAMPLES OUTPUTS`. SAMPLES are the .npz
that --data names, with an array `label`, the index that the first output should be largest at; OUTPUTS has what a
program gave for them, in their order, as 0.npz, 1.npz, ..."""
import os
import sys

import numpy as np


def main():
    samples, outputs = sys.argv[1:]
    right = []
    for i, name in enumerate(sorted(os.listdir(samples))):
        with np.load(os.path.join(samples, name)) as x, np.load(os.path.join(outputs, f"{i}.npz")) as y:
            label = np.ravel(x["label"])
            right += list(y[y.files[0]].reshape(len(label), -1).argmax(1) == label)
    print(100 * np.mean(right))


if __name__ == "__main__":
    main()
