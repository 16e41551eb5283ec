"""What a copy is compared with its recording by: spectral distances, and discriminators of periods and of spectra.

The discriminators of periods are those of HiFi-GAN (Kong, Kim, Bae 2020) with fewer channels; those of spectra read complex
spectrograms, as EnCodec's do (Défossez et al. 2022), with magnitudes compressed to the power 0.3.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import weight_norm

from fourier import SAMPLE_RATE, hann

SLOPE = 0.1


class Critic(nn.Module):
    """A stack of convolutions, `layers`, and one more, `last`, that makes scores."""

    def judge(self, x):
        """Scores, and the features before them."""
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.last(x), features


class PeriodCritic(Critic):
    def __init__(self, period, channels=(1, 32, 128, 256, 512, 512)):
        super().__init__()
        self.period = period
        conv = lambda i: nn.Conv2d(channels[i], channels[i + 1], (5, 1), (3 if i < 4 else 1, 1), (2, 0))
        self.layers = nn.ModuleList(weight_norm(conv(i)) for i in range(5))
        self.last = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), 1, (1, 0)))

    def forward(self, pcm):
        x = F.pad(pcm[:, None], (0, -pcm.shape[1] % self.period), mode="reflect")
        x = x.view(len(pcm), 1, -1, self.period).to(memory_format=torch.channels_last)
        return self.judge(x)


class SpectrumCritic(Critic):
    def __init__(self, n_fft, hop, channels=32):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", hann(n_fft), persistent=False)
        wide = [nn.Conv2d(2, channels, (3, 9), 1, (1, 4))]
        wide += [nn.Conv2d(channels, channels, (3, 9), (1, 2), (1, 4)) for _ in range(3)]
        self.layers = nn.ModuleList(weight_norm(l) for l in wide + [nn.Conv2d(channels, channels, 3, 1, 1)])
        self.last = weight_norm(nn.Conv2d(channels, 1, 3, 1, 1))

    def forward(self, pcm):
        with torch.autocast(pcm.device.type, enabled=False):
            half = self.n_fft // 2
            padded = F.pad(pcm.float()[:, None], (half, half), mode="reflect")[:, 0]
            spectra = torch.fft.rfft(padded.unfold(1, self.n_fft, self.hop) * self.window)
            x = torch.view_as_real(spectra) / math.sqrt(self.n_fft) * 4
            x = x * (x.square().sum(-1, keepdim=True) + 1e-5) ** -0.35
            x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        return self.judge(x)


class Critics(nn.Module):
    def __init__(self):
        super().__init__()
        periods = [PeriodCritic(period) for period in (2, 3, 5, 7, 11)]
        spectra = [SpectrumCritic(*size) for size in ((2048, 512), (1024, 256), (512, 128), (256, 64))]
        self.all = nn.ModuleList(periods + spectra)

    def forward(self, pcm):
        """Scores and features, a list of each."""
        judged = [critic(pcm) for critic in self.all]
        return [scores for scores, _ in judged], [features for _, features in judged]


class Spectra(nn.Module):
    """Distances of short-time spectra."""

    MELS = ((256, 64, 32), (512, 128, 64), (1024, 256, 80), (2048, 512, 128))

    def __init__(self):
        super().__init__()
        for n_fft, _, n_mels in self.MELS:
            self.register_buffer(f"window{n_fft}", hann(n_fft), persistent=False)
            self.register_buffer(f"bands{n_fft}", self.bands(n_fft, n_mels), persistent=False)
        self.register_buffer("window300", hann(300), persistent=False)

    @staticmethod
    def bands(n_fft, n_mels):
        mel = lambda hz: 2595 * math.log10(1 + hz / 700)
        top = mel(SAMPLE_RATE / 2)
        edges = [700 * (10 ** (top * i / (n_mels + 1) / 2595) - 1) for i in range(n_mels + 2)]
        hertz = torch.arange(n_fft // 2 + 1).double() * SAMPLE_RATE / n_fft
        rows = []
        for low, centre, high in zip(edges, edges[1:], edges[2:]):
            row = torch.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clamp(min=0)
            if row.sum() == 0:
                row[round(centre * n_fft / SAMPLE_RATE)] = 1
            rows.append(row / row.sum())
        return torch.stack(rows, 1).float()

    def power(self, pcm, n_fft, hop):
        stretches = F.pad(pcm, (n_fft // 2, n_fft // 2)).unfold(1, n_fft, hop)
        spectra = torch.fft.rfft(stretches * getattr(self, f"window{n_fft}"))
        return spectra.real**2 + spectra.imag**2

    def mel(self, copy, recording):
        """Mean difference of log-mel at four resolutions."""
        distance = 0
        for n_fft, hop, _ in self.MELS:
            bands = getattr(self, f"bands{n_fft}")
            a, b = (self.power(pcm, n_fft, hop) @ bands + 1e-8 * n_fft for pcm in (copy, recording))
            distance = distance + 0.5 * (a.log() - b.log()).abs().mean()
        return distance / len(self.MELS)

    def stft(self, copy, recording):
        """As vocoder/src/stft_loss.rs."""
        distance = 0
        for n_fft, hop in ((512, 128), (1024, 256), (2048, 512), (300, 75)):
            a, b = (self.power(pcm, n_fft, hop) + 1e-7 for pcm in (copy, recording))
            distance = distance + 0.5 * (a / b).log().abs().mean() + (a.sqrt() - b.sqrt()).norm() / b.sum().sqrt()
        return distance / 4
