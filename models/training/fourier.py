"""The Fourier vocoder (vocoder/src/fourier) in PyTorch: the same weights give the same sound, but for the noise's numbers."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

SAMPLE_RATE, N_FFT, HOP, BINS, N_MELS = 24000, 1200, 300, 601, 80
# Mel frames on each side that the net's output for a mel frame depends on.
CONTEXT = 21
NOISE_LEVEL = 1 / 30
LOG_GAIN_LIMIT, LOG_NOISE_FLOOR = 9.0, -7.5
HARMONIC_LIMIT_HZ = 11000.0


def hann(length):
    """A periodic window."""
    return torch.sin(math.pi * torch.arange(length, dtype=torch.float64) / length).square().float()


class ConvNextBlock(nn.Module):
    def __init__(self, width, kernel, factor):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, width * factor)
        self.project = nn.Linear(width * factor, width)
        self.gate = nn.Parameter(torch.full((width,), 0.2))

    def forward(self, x):
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = F.gelu(self.expand(self.norm(y)), approximate="tanh")
        return x + self.gate * self.project(y)


class FourierNet(nn.Module):
    """Mel (B, T, 80) and F0 (B, T) to log-gains and phases of every bin, and these to PCM."""

    def __init__(self, parts=5, width=256, blocks=6, kernel=7, factor=3):
        super().__init__()
        self.parts = parts
        self.conv_in = nn.Conv1d(N_MELS + 2, width, kernel, padding=kernel // 2)
        self.blocks = nn.ModuleList(ConvNextBlock(width, kernel, factor) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, parts * BINS)
        self.register_buffer("window", hann(N_FFT), persistent=False)
        # The noise's window: Hann's of two hops, over what the synthesis makes of the middle of a mel frame.
        start, window = N_FFT // 2 - HOP, hann(N_FFT)
        squares = torch.stack([(window[(start + at) % HOP :: HOP] ** 2).sum() for at in range(2 * HOP)])
        middle = NOISE_LEVEL * hann(2 * HOP) * squares / window[start : start + 2 * HOP].clamp(min=1e-3)
        self.register_buffer("noise_window", F.pad(middle, (start, start)), persistent=False)

    def add_free_phase(self):
        """Gives a net of three parts the source of free phase: quiet, its phases left to chance."""
        old, self.parts = self.head, 5
        self.head = nn.Linear(old.in_features, 5 * BINS)
        with torch.no_grad():
            weight, bias = self.head.weight, self.head.bias
            weight[: 3 * BINS], bias[: 3 * BINS] = old.weight, old.bias
            weight[3 * BINS : 4 * BINS].normal_(std=0.01)
            bias[3 * BINS : 4 * BINS] = -5
            weight[4 * BINS :].normal_(std=0.1)
            bias[4 * BINS :].uniform_(-math.pi, math.pi)

    def forward(self, mel, f0_hz, inner):
        """`inner` (B, t): the mel frames of which the output is wanted."""
        voiced = (f0_hz > 0).float()
        log_f0 = (f0_hz.clamp(min=1).log() - 5.3) / 0.5 * voiced
        x = torch.cat([(mel + 5) / 2.5, log_f0[..., None], voiced[..., None]], 2)
        x = self.conv_in(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        x = x.gather(1, inner[..., None].expand(-1, -1, x.shape[2]))
        return self.head(self.norm(x)).chunk(self.parts, 2)

    @staticmethod
    def pulses(f0_hz, phase):
        """The pulse train for F0 (B, T) and its running phase at the centres (B, T): (B, HOP T)."""
        f0, radians = f0_hz.double(), 2 * math.pi / SAMPLE_RATE
        before, after, zero = F.pad(f0, (1, 0))[:, :-1], F.pad(f0, (0, 1))[:, 1:], torch.zeros_like(f0)
        slope_before = torch.where(before > 0, (f0 - before) / HOP, zero)[..., None]
        slope_after = torch.where(after > 0, (after - f0) / HOP, zero)[..., None]
        distance = torch.arange(HOP, device=f0.device, dtype=torch.float64) - HOP / 2
        slope = torch.where(distance < 0, slope_before, slope_after)
        here = f0[..., None]
        running = torch.where(here > 0, here + slope * distance, torch.full_like(slope, 200.0))
        t = phase[..., None] + radians * (here + 0.5 * slope * distance) * distance
        harmonics = HARMONIC_LIMIT_HZ / running - 1
        whole = harmonics.floor()
        t = t - 2 * math.pi * torch.round(t / (2 * math.pi))
        near = t.abs() < 1e-9
        safe = torch.where(near, torch.ones_like(t), t)
        dirichlet = torch.sin((whole + 0.5) * safe) / (2 * torch.sin(0.5 * safe)) - 0.5
        sound = torch.where(near, whole, dirichlet) + (harmonics - whole) * torch.cos((whole + 1) * t)
        sound = torch.where((here > 0) & (harmonics > 0), sound, torch.zeros_like(sound))
        return sound.float().flatten(1)

    def analyse(self, pcm, window):
        """Spectra around the centres of mel frames: (B, HOP T) -> (B, T, BINS)."""
        pad = (N_FFT - HOP) // 2
        return torch.fft.rfft(F.pad(pcm, (pad, pad)).unfold(1, N_FFT, HOP) * window)

    def inverse(self, spectra):
        batch, mel_frames, _ = spectra.shape
        hops, pad = N_FFT // HOP, (N_FFT - HOP) // 2
        stretches = (torch.fft.irfft(spectra, n=N_FFT) * self.window).reshape(batch, mel_frames, hops, HOP)
        squares = (self.window**2).reshape(hops, HOP)
        shift = lambda rows, hop: F.pad(rows, (0, 0, hop, hops - 1 - hop))
        pcm = sum(shift(stretches[:, :, hop], hop) for hop in range(hops)).flatten(1)
        envelope = sum(shift(squares[hop].expand(mel_frames, HOP), hop) for hop in range(hops)).flatten()
        inside = slice(pad, pad + mel_frames * HOP)
        return pcm[:, inside] / envelope[inside]

    def synthesise(self, parts, f0_hz, phase, white):
        """PCM of the harmonics alone, and of all sources."""
        gain, raw_phase, noise_gain, free_gain, free_phase = parts
        pulses = self.analyse(self.pulses(f0_hz, phase), self.window) * (4 / N_FFT)
        harmonics = torch.polar(gain.clamp(max=LOG_GAIN_LIMIT).exp(), math.pi * torch.tanh(raw_phase)) * pulses
        noise = self.analyse(white, self.noise_window) * noise_gain.clamp(LOG_NOISE_FLOOR, LOG_GAIN_LIMIT).exp()
        free = torch.polar(free_gain.clamp(max=LOG_GAIN_LIMIT).exp(), free_phase)
        return self.inverse(harmonics), self.inverse(harmonics + noise + free)
