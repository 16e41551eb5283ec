#!/usr/bin/env python3
"""Renders the harmonics alone of a corpus that the teacher voice hibari has spoken.

    pip install hibari-tts==0.2.1 scipy soundfile
    python models/corpora/harmonics.py CORPUS OUT

CORPUS/corpus.jsonl names the sentences (`id`) and the teacher's symbols (`ids`). The teacher adds up three branches:
harmonics of a pulse train, Gaussian noise, and a branch of free phase. OUT becomes a corpus of the same sentences in which
the other two are silent, for `paravox train vocoder --harmonics`.
"""
import json
import os
import shutil
import sys

import numpy as np
import soundfile
from hibari import Hibari, dsp

# Log-gain of a branch that is not to be heard.
SILENT = -30.0


def main(corpus, out):
    voice = Hibari()
    wavs = os.path.join(out, "wavs")
    os.makedirs(wavs, exist_ok=True)
    generator = np.random.default_rng(0)
    with open(os.path.join(corpus, "corpus.jsonl"), encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            inputs = {"ids": np.asarray([row["ids"]], np.int64), "speed": np.ones(1, np.float32)}
            gain, phase, noise, free, free_phase, f0 = (part[0] for part in voice.sess.run(None, inputs))
            silent = np.full_like(noise, SILENT)
            pcm = dsp.synth(gain, phase, silent, silent, free_phase, f0, generator)
            soundfile.write(os.path.join(wavs, row["id"] + ".flac"), pcm, 24000, subtype="PCM_16")
    shutil.copy(os.path.join(corpus, "corpus.jsonl"), out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
