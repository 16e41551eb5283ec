"""The teacher voice hibari on the sentences of a corpus, branch by branch.

The teacher adds up harmonics of a pulse train, noise, and a branch of free phase (its dsp.py). A vocoder made the same way
can be told what belongs to which.
"""
import json
import multiprocessing
import os

import numpy as np

# Log-gain of a branch that is not to be heard.
SILENT = -30.0
HOP = 300


def i16(pcm):
    return np.round(pcm * 32768).clip(-32768, 32767).astype(np.int16)


def _start():
    global voice, dsp
    from hibari import Hibari, dsp

    voice = Hibari(threads=1)


def _branches(job):
    """Of one sentence: harmonics, noise and free branch as PCM (i16), log-gains of the last two around the centres of mel
    frames, and the running phase there. None where the teacher makes it another length than it has."""
    number, ids, mel_frames = job
    inputs = {"ids": np.asarray([ids], np.int64), "speed": np.ones(1, np.float32)}
    gain, phase, noise, free, free_phase, f0 = (part[0] for part in voice.sess.run(None, inputs))
    if gain.shape[1] != mel_frames:
        return None
    silent = np.full_like(noise, SILENT)
    rng = np.random.default_rng(number)
    pcm = lambda g, n, q: dsp.synth(g, phase, n, q, free_phase, f0, rng)
    harmonics, hiss, rest = pcm(gain, silent, silent), pcm(silent, noise, silent), pcm(silent, silent, free)
    # The teacher's frames lie between the mel frames.
    middle = lambda x: 0.5 * (x + np.concatenate([x[:, 1:], x[:, -1:]], 1)).T
    gains = np.stack([middle(noise), middle(free)], 1).clip(-12, 9).astype(np.float16)
    # The teacher's running F0: between its frames a line, and never below 40 Hz.
    f = np.pad(f0.astype(np.float64), 1, mode="edge")
    at = ((np.arange(HOP) + 0.5) / HOP - 0.5) % 1.0
    first = f[:-2, None] * (1 - at[: HOP // 2]) + f[1:-1, None] * at[: HOP // 2]
    second = f[1:-1, None] * (1 - at[HOP // 2 :]) + f[2:, None] * at[HOP // 2 :]
    turns = np.cumsum(np.maximum(np.concatenate([first, second], 1), 40)) / 24000
    whole = i16(harmonics + hiss + rest)
    return whole, i16(harmonics), i16(rest), gains, 2 * np.pi * (turns[HOP // 2 :: HOP] % 1.0)


def own_phase(phase, f0):
    """The phase that our pulse train runs through, beginning in each voiced stretch where it fits the teacher's best."""
    f0 = f0.astype(np.float64)
    running = np.cumsum((np.concatenate([[0], f0[:-1]]) + f0) * (np.pi / 24000 * HOP))
    voiced = f0 > 0
    begins = voiced & ~np.concatenate([[False], voiced[:-1]])
    stretch, out = np.cumsum(begins) - 1, np.zeros(len(f0))
    for k in range(begins.sum()):
        here = voiced & (stretch == k)
        out[here] = running[here] + np.angle(np.exp(1j * (phase[here] - running[here])).sum())
    return out % (2 * np.pi)


def render(corpus, sentences, workers):
    """`sentences`: (id, F0) of each. Gives for each (whole, harmonics, free, gains, phase), or None."""
    with open(os.path.join(corpus, "corpus.jsonl"), encoding="utf-8") as rows:
        ids = {row["id"]: row["ids"] for row in map(json.loads, rows)}
    jobs = [(number, ids[name], len(f0)) for number, (name, f0) in enumerate(sentences)]
    with multiprocessing.get_context("spawn").Pool(workers, _start) as pool:
        found = pool.map(_branches, jobs, chunksize=8)
    return [one and (*one[:4], own_phase(one[4], f0)) for one, (_, f0) in zip(found, sentences)]
