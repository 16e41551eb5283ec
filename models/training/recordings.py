"""Recordings of which no branches are known: their harmonics are told apart by F0.

A comb over three neighbouring periods keeps what repeats, and a Wiener filter takes out what noise the comb lets through.
"""
import json
import os

import numpy as np
import soundfile
from scipy.ndimage import uniform_filter
from scipy.signal import istft, resample_poly, stft

from teacher import HOP, i16, own_phase

SAMPLE_RATE, FINE = 24000, 4
COMB = {-1: 0.25, 0: 0.5, 1: 0.25}
# Of white noise, the power that the comb lets through over that which it takes out.
LEAK = sum(w * w for w in COMB.values()) / (1 - 2 * COMB[0] + sum(w * w for w in COMB.values()))
STFT = dict(nperseg=1024, noverlap=768, window="hann")


def harmonics(pcm, turns, voiced):
    """What of a recording repeats with its F0. `turns`: periods since the start at the centre of every mel frame."""
    n = len(turns) * HOP
    centres = (np.arange(len(turns)) + 0.5) * HOP
    # Never falling, so that it can be inverted.
    running = np.interp(np.arange(n), centres, np.maximum.accumulate(turns)) + 1e-9 * np.arange(n)
    fine = np.append(resample_poly(pcm, FINE, 1), 0)
    out = np.zeros(n)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced, [0]])))
    for first, last in zip(edges[::2] * HOP, edges[1::2] * HOP):
        at = np.arange(first, last)
        phase, total, weight = running[at], np.zeros(len(at)), np.zeros(len(at))
        for periods, share in COMB.items():
            there = phase + periods
            inside = (there >= phase[0]) & (there <= phase[-1])
            place = np.interp(there[inside], phase, at) * FINE
            before = place.astype(int)
            part = place - before
            total[inside] += share * (fine[before] * (1 - part) + fine[before + 1] * part)
            weight[inside] += share
        fade = np.sin(np.pi / 2 * (np.arange(HOP // 2) + 0.5) / (HOP // 2)) ** 2
        out[at] = total / weight
        out[first : first + HOP // 2] *= fade
        out[last - HOP // 2 : last] *= fade[::-1]
    kept, rest = (stft(x, SAMPLE_RATE, **STFT)[2] for x in (out, pcm - out))
    power, noise = (uniform_filter(np.abs(x) ** 2, (5, 3)) for x in (kept, rest))
    gain = np.sqrt(np.clip(1 - LEAK * noise / (power + 1e-12), 0, 1))
    return istft(kept * gain, SAMPLE_RATE, **STFT)[1][:n]


def render(corpus, sentences, _workers):
    """As teacher.render, of a corpus of recordings whose rows give `turns`: harmonics as they are told apart, all else in the
    place of the free branch, and nothing of gains."""
    with open(os.path.join(corpus, "corpus.jsonl"), encoding="utf-8") as rows:
        turns_of = {row["id"]: row["turns"] for row in map(json.loads, rows)}
    found = []
    for name, f0 in sentences:
        pcm, _ = soundfile.read(os.path.join(corpus, "wavs", name + ".flac"))
        turns = np.array(turns_of[name][: len(f0)])
        if len(turns) < len(f0):
            found.append(None)
            continue
        pcm = np.pad(pcm, (0, max(0, len(f0) * HOP - len(pcm))))[: len(f0) * HOP]
        repeated = harmonics(pcm, turns, f0 > 0)
        phase = own_phase(2 * np.pi * (turns % 1), f0)
        found.append((i16(pcm), i16(repeated), i16(pcm - repeated), np.zeros((len(f0), 2, 1), np.float16), phase))
    return found
