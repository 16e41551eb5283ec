#!/usr/bin/env python3
"""Trains the Fourier vocoder of a voice against discriminators, on a GPU; minutes there are days on two cores. On a CPU it
can be fitted to a voice's mel without them (--without-critics).

    pip install hibari-tts==0.2.1 scipy torch safetensors
    paravox export mel data/speech --voice heart -o mel.safetensors
    python models/training/vocoder.py heart mel.safetensors models/weights/vocoder-heart.safetensors out.safetensors --minutes 9

heart/corpus.jsonl is the corpus that data/speech was prepared from. The weights may be those of a vocoder without a source of
free phase, which then gets one. After a warm-up on what the teacher's branches tell (harmonics by spectrum and phase, gains
of noise and free branch, phase of the free branch), discriminators join, by least squares (Mao et al. 2017) and by their
features (Larsen et al. 2016). What is written is an average over steps.

With --recordings the corpus need not be hibari's: harmonics are told apart by F0 (recordings.py), and the rest is taught by
the likelihood of its power and by the whole. Rows of corpus.jsonl then give `turns`, as models/corpora/kokoro.py does.
"""
import argparse
import math
import os
import time

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import recordings
import teacher
from critics import Critics, Spectra
from fourier import BINS, CONTEXT, HOP, LOG_GAIN_LIMIT, LOG_NOISE_FLOOR, FourierNet

# Weights of the losses: those of the teacher's branches, then of the whole.
WEIGHTS = dict(harmonics=4.0, harmonic_phase=2.0, noise_gain=1.0, free_gain=1.0, free_phase=1.5, rest=0.5, mel=20.0)
FOOLED, FEATURES = 1.0, 2.0
# Log-gains below this are as good as silent.
QUIET = -8.0
WINDOW = 80
WIDE = WINDOW + 2 * CONTEXT
WARM_STEPS = 1000


class Corpus:
    """Windows of sentences with all that is known of them, on the device."""

    def __init__(self, render, corpus, mel_file, workers, device, first, most, seed):
        with safe_open(mel_file, "numpy") as f:
            names = sorted({key.rpartition(".")[0] for key in f.keys()})[first:][:most]
            mel, f0, valid = ([f.get_tensor(f"{name}.{what}") for name in names] for what in ("mel", "f0", "valid"))
        found = render(corpus, [(n, f.astype(np.float32)) for n, f in zip(names, f0)], workers)
        keep = [i for i, one in enumerate(found) if one and len(f0[i]) >= WIDE]
        lengths = np.array([len(f0[i]) for i in keep])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        flat = lambda parts: torch.from_numpy(np.concatenate(parts)).to(device)
        self.mel, self.f0 = flat([mel[i] for i in keep]), flat([f0[i] for i in keep])
        self.whole, self.harmonics, self.free, self.gains, self.phase = (flat([found[i][k] for i in keep]) for k in range(5))
        rows = [(start, length) for start, length, i in zip(starts, lengths, keep) if not valid[i][0]]
        self.starts, self.lengths = np.array(rows).T
        self.room = np.cumsum(self.lengths - WINDOW + 1)
        self.watched = torch.tensor([(s, CONTEXT) for s, i in zip(starts, keep) if valid[i][0]][:64], device=device)
        self.wide, self.window = torch.arange(WIDE, device=device), torch.arange(WINDOW, device=device)
        self.samples = torch.arange(WINDOW * HOP, device=device)
        self.rng = np.random.default_rng(seed)

    def draw(self, n):
        """(n, 2): first mel frame of what the net reads, and the window's place in it. Windows at the ends of a sentence
        have the context that they will have."""
        at = self.rng.integers(0, self.room[-1], n)
        k = np.searchsorted(self.room, at, side="right")
        at = at - np.where(k > 0, self.room[k - 1], 0)
        wide = np.clip(at - CONTEXT, 0, self.lengths[k] - WIDE)
        return torch.from_numpy(np.stack([self.starts[k] + wide, at - wide], 1))

    def batch(self, places):
        first, offset = places[:, :1], places[:, 1:]
        inner = offset + self.window
        read, heard = first + self.wide, first + inner
        pcm = lambda values: values[(first + offset) * HOP + self.samples].float() / 32768
        inputs = self.mel[read].float(), self.f0[read].float(), inner
        sources = self.f0[heard].float(), self.phase[heard]
        return inputs, sources, pcm(self.whole), pcm(self.harmonics), pcm(self.free), self.gains[heard].float()


def phase_distance(copy, recording):
    """1 - cos of the angle between two spectra, mostly where the second is loud."""
    weight = recording.abs().clamp(max=3.0).sqrt()
    cosine = (copy * recording.conj()).real / (copy.abs() * recording.abs() + 1e-6)
    return ((1 - cosine) * weight).sum() / weight.sum()


def divergence(power, expected):
    """Itakura and Saito's divergence of the power of noise from what was expected, halved; from where that is e^2 times too
    small it goes on as a straight line."""
    ratio = (power + 1e-6).log() - (expected + 1e-6).log()
    near, far = ratio.clamp(max=2), ratio.clamp(min=2) - 2
    return 0.5 * (near.exp() - near - 1 + far * (math.exp(2) - 1)).mean()


class Training:
    def __init__(self, net, corpus, batch, rate, whole_alone):
        self.net, self.corpus, self.n, self.whole_alone = net, corpus, batch, whole_alone
        self.device = net.window.device
        self.critics, self.spectra = Critics().to(self.device), Spectra().to(self.device)
        if self.device.type == "cuda":
            self.critics = self.critics.to(memory_format=torch.channels_last)
        on_gpu = self.device.type == "cuda"
        rates = (torch.tensor(rate, device=self.device) for _ in range(2)) if on_gpu else (rate, rate)
        optimiser = lambda of, lr: torch.optim.AdamW(of.parameters(), lr, (0.8, 0.99), weight_decay=1e-3, capturable=on_gpu)
        self.optimisers = [optimiser(of, lr) for of, lr in zip((net, self.critics), rates)]
        self.mean = {name: value.detach().clone() for name, value in net.named_parameters()}
        self.keep = torch.zeros((), device=self.device)
        self.places = torch.zeros(batch, 2, dtype=torch.long, device=self.device)
        for parameter in [*net.parameters(), *self.critics.parameters()]:
            parameter.grad = torch.zeros_like(parameter)
        self.losses = {}

    def copy(self, places):
        """The copies, the recordings, and the losses that need no discriminator."""
        inputs, (f0, phase), whole, harmonics, free, gains = self.corpus.batch(places)
        net, spectra = self.net, self.spectra
        parts = net(*inputs)
        alone, copy = net.synthesise(parts, f0, phase, torch.randn_like(whole))
        analyse = lambda pcm: net.analyse(pcm, net.window)
        quiet = lambda gain: gain.clamp(min=QUIET)
        losses = dict(
            harmonics=spectra.stft(alone, harmonics),
            harmonic_phase=phase_distance(analyse(alone), analyse(harmonics)),
            mel=spectra.mel(copy, whole),
        )
        if self.whole_alone:
            noise = (2 * parts[2].clamp(LOG_NOISE_FLOOR, LOG_GAIN_LIMIT)).exp() * net.noise_window.square().sum()
            expected = noise + (2 * parts[3].clamp(max=LOG_GAIN_LIMIT)).exp()
            losses |= dict(rest=divergence(analyse(free).abs().square(), expected))
        else:
            losses |= dict(
                noise_gain=(quiet(parts[2]) - quiet(gains[:, :, 0])).abs().mean(),
                free_gain=(quiet(parts[3]) - quiet(gains[:, :, 1])).abs().mean(),
                free_phase=phase_distance(torch.polar(torch.ones_like(parts[4]), parts[4]), analyse(free)),
            )
        return copy, whole, losses

    def warm(self):
        _, _, losses = self.copy(self.places)
        self.update(losses, 0)

    def duel(self):
        copy, whole, losses = self.copy(self.places)
        seen = copy.detach().requires_grad_()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=False):
            scores, features = self.critics(torch.cat([whole, seen]))
        judged = fooled = likeness = 0
        for score in (score.float() for score in scores):
            judged = judged + (score[: self.n] - 1).square().mean() + score[self.n :].square().mean()
            fooled = fooled + (score[self.n :] - 1).square().mean()
        for feature in (feature for of_one in features for feature in of_one):
            likeness = likeness + (feature[: self.n].detach() - feature[self.n :]).abs().mean(dtype=torch.float32)
        # One pass of the discriminators serves both sides.
        (wanted,) = torch.autograd.grad(FOOLED * fooled + FEATURES * likeness, seen, retain_graph=True)
        parameters = list(self.critics.parameters())
        for parameter, grad in zip(parameters, torch.autograd.grad(judged, parameters)):
            parameter.grad.copy_(grad)
        self.optimisers[1].step()
        self.update(losses | dict(fooled=fooled, features=likeness, judged=judged), (copy * wanted).sum())

    def update(self, losses, more):
        self.optimisers[0].zero_grad(set_to_none=False)
        (sum(WEIGHTS[name] * loss for name, loss in losses.items() if name in WEIGHTS) + more).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 50.0)
        self.optimisers[0].step()
        values, means = [p.detach() for p in self.net.parameters()], list(self.mean.values())
        torch._foreach_mul_(means, self.keep)
        torch._foreach_add_(means, torch._foreach_mul(values, 1 - self.keep))
        for name, value in losses.items():
            self.losses.setdefault(name, torch.zeros((), device=self.device)).copy_(value.detach())

    def recorded(self, step):
        """The step as a CUDA graph: a step is thousands of small kernels, which take longer to launch than to run."""
        if self.device.type != "cuda":
            return step
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.places.copy_(self.corpus.draw(self.n))
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    def set_rate(self, rate, keep):
        for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.keep.fill_(keep)

    def watch(self):
        if not len(self.corpus.watched):
            return {}
        kept = {name: value.detach().clone() for name, value in self.net.named_parameters()}
        with torch.no_grad():
            self.net.load_state_dict(self.mean, strict=False)
            _, _, losses = self.copy(self.corpus.watched)
            self.net.load_state_dict(kept, strict=False)
        return losses


def say(step, seconds, what, losses):
    print(f"{step} {seconds:.0f} s {what}", *(f"{name} {float(value):.3f}" for name, value in losses.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "mel", "weights", "out"):
        parser.add_argument(name)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--first", type=int, default=0, help="leave out so many sentences before")
    parser.add_argument("--most", type=int, help="at most this many sentences")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--recordings", action="store_true")
    parser.add_argument("--without-critics", action="store_true")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")

    weights = {name: value.float() for name, value in load_file(args.weights).items()}
    with safe_open(args.weights, "pt") as f:
        config = f.metadata()["config"]
    net = FourierNet(parts=len(weights["head.bias"]) // BINS)
    net.load_state_dict(weights)
    if net.parts == 3:
        net.add_free_phase()
        config = config.replace("\n\n[mel]", "\nfree_phase = true\n\n[mel]")
    render = recordings.render if args.recordings else teacher.render
    corpus = Corpus(render, args.corpus, args.mel, os.cpu_count(), args.device, args.first, args.most, args.seed)
    training = Training(net.to(args.device), corpus, args.batch, args.rate, args.recordings)

    began, step, limit = time.time(), 0, 60 * args.minutes
    warm_steps, ramp = (math.inf, 100) if args.without_critics else (WARM_STEPS, 500)
    run, told = training.recorded(training.warm), 0.0
    while (seconds := time.time() - began) < limit:
        if step == warm_steps:
            run = training.recorded(training.duel)
        if step % 50 == 0:
            done = seconds / limit
            fall = 1.0 if done < 0.3 else 0.02 + 0.49 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))
            training.set_rate(args.rate * min(1.0, (step + 50) / ramp) * fall, min(0.999, step / (step + 100)))
        training.places.copy_(corpus.draw(args.batch))
        run()
        step += 1
        if seconds > told:
            say(step, seconds, "trained", training.losses)
            told = seconds + 15
    say(step, time.time() - began, "watched", training.watch())
    save_file({name: value.half().cpu() for name, value in training.mean.items()}, args.out, {"config": config})


if __name__ == "__main__":
    main()
