//! F0 of a recording, for speech that comes without one.
//!
//! The method of Boersma (1993), "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
//! ratio of a sampled sound": the autocorrelation of a Hann-windowed stretch of three longest periods, divided by the
//! autocorrelation of the window itself, has its maxima at the periods; the candidates of all mel frames are joined by
//! the path of least cost (Viterbi), where octave jumps and changes of voicing cost. Its constants are the paper's.

use realfft::RealFftPlanner;

use crate::mel::{MelConfig, hann_window};

/// Range and costs of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct F0Options {
    /// Lowest F0 in hertz. Default 65.
    pub min_hz: f64,
    /// Highest F0 in hertz. Default 500.
    pub max_hz: f64,
    /// Mel frames per second: one F0 is found for the middle of each. Default 80.
    pub mel_frames_per_second: f64,
    /// Strength of the unvoiced candidate: higher finds less voice. Default 0.45.
    pub voicing_threshold: f64,
    /// Stretches weaker than this part of the loudest one count as silence. Default 0.03.
    pub silence_threshold: f64,
    /// Preference of high over low candidates, per octave. Default 0.01.
    pub octave_cost: f64,
    /// Cost of a jump by one octave from one mel frame to the next 10 ms later. Default 0.35.
    pub octave_jump_cost: f64,
    /// Cost of a change between voiced and unvoiced. Default 0.14.
    pub voicing_change_cost: f64,
}

impl Default for F0Options {
    fn default() -> Self {
        Self {
            min_hz: 65.0,
            max_hz: 500.0,
            mel_frames_per_second: MelConfig::default().mel_frames_per_second(),
            voicing_threshold: 0.45,
            silence_threshold: 0.03,
            octave_cost: 0.01,
            octave_jump_cost: 0.35,
            voicing_change_cost: 0.14,
        }
    }
}

/// Candidates kept of each mel frame, the unvoiced one included.
const MAX_CANDIDATES: usize = 15;
/// The paper's costs hold for steps of 10 ms.
const COST_STEP_S: f64 = 0.01;
/// Periods of the lowest F0 in a window.
const PERIODS: f64 = 3.0;

/// One answer for one mel frame; F0 0 is the unvoiced one.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    f0_hz: f64,
    strength: f64,
}

/// F0 in hertz of every mel frame of 12.5 ms, 0 where unvoiced, with default options.
///
/// # Shapes
/// `pcm` (n) at `sample_rate` -> (floor(n * 80 / sample_rate)): at 24 kHz one value for each mel frame of the default
/// [`MelConfig`].
pub fn track(pcm: &[f32], sample_rate: u32) -> Vec<f32> {
    track_with(pcm, sample_rate, &F0Options::default())
}

/// As [`track`], with options. A range or rate that makes no sense finds everything unvoiced.
pub fn track_with(pcm: &[f32], sample_rate: u32, options: &F0Options) -> Vec<f32> {
    let rate = f64::from(sample_rate);
    let mel_frames = (pcm.len() as f64 * options.mel_frames_per_second / rate) as usize;
    let usable = options.min_hz > 0.0 && options.min_hz < options.max_hz && options.max_hz < rate / 4.0;
    let global_peak = pcm.iter().fold(0.0f32, |peak, value| peak.max(value.abs()));
    if !usable || global_peak == 0.0 {
        return vec![0.0; mel_frames];
    }
    let candidates = candidates(pcm, rate, options, mel_frames, f64::from(global_peak));
    least_cost_path(&candidates, options)
}

/// The candidates of every mel frame, the unvoiced one first.
fn candidates(pcm: &[f32], rate: f64, options: &F0Options, mel_frames: usize, global_peak: f64) -> Vec<Vec<Candidate>> {
    let length = (PERIODS * rate / options.min_hz) as usize;
    let max_lag = (rate / options.min_hz).ceil() as usize;
    let min_lag = (rate / options.max_hz).floor() as usize;
    // One and a half windows keep the lags up to half a window free of wrapping around.
    let n_fft = (length + length / 2 + 2).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let forward = planner.plan_fft_forward(n_fft);
    let inverse = planner.plan_fft_inverse(n_fft);
    let mut buffer = forward.make_input_vec();
    let mut spectrum = forward.make_output_vec();
    let mut autocorrelate = |buffer: &mut [f32]| {
        forward.process(buffer, &mut spectrum).expect("the buffers were made by this transform");
        spectrum.iter_mut().for_each(|bin| *bin = bin.norm_sqr().into());
        inverse.process(&mut spectrum, buffer).expect("a power spectrum is real");
    };

    let window = hann_window(length);
    buffer[..length].copy_from_slice(&window);
    autocorrelate(&mut buffer);
    let window_correlation: Vec<f32> = buffer[..max_lag + 2].iter().map(|value| value / buffer[0]).collect();

    let mut correlation = vec![0.0f64; max_lag + 2];
    (0..mel_frames)
        .map(|mel_frame| {
            let centre = ((mel_frame as f64 + 0.5) * rate / options.mel_frames_per_second) as isize;
            let start = centre - (length / 2) as isize;
            buffer.fill(0.0);
            for (offset, value) in buffer[..length].iter_mut().enumerate() {
                *value =
                    usize::try_from(start + offset as isize).ok().and_then(|at| pcm.get(at).copied()).unwrap_or(0.0);
            }
            let mean = buffer[..length].iter().sum::<f32>() / length as f32;
            let mut peak = 0.0f32;
            for (value, weight) in buffer[..length].iter_mut().zip(&window) {
                *value -= mean;
                peak = peak.max(value.abs());
                *value *= weight;
            }
            let level = (f64::from(peak) / global_peak).min(1.0);
            let quietness = 2.0 - level * (1.0 + options.voicing_threshold) / options.silence_threshold;
            let unvoiced = Candidate { f0_hz: 0.0, strength: options.voicing_threshold + quietness.max(0.0) };
            autocorrelate(&mut buffer);
            let power = f64::from(buffer[0]);
            if power <= 0.0 {
                return vec![unvoiced];
            }
            for (lag, value) in correlation.iter_mut().enumerate() {
                *value = f64::from(buffer[lag]) / power / f64::from(window_correlation[lag]);
            }
            let mut found = voiced_candidates(&correlation, min_lag, max_lag, rate, options);
            found.insert(0, unvoiced);
            found
        })
        .collect()
}

/// Maxima of a normalised autocorrelation between two lags, strongest first.
fn voiced_candidates(
    correlation: &[f64],
    min_lag: usize,
    max_lag: usize,
    rate: f64,
    options: &F0Options,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for lag in min_lag.max(2)..=max_lag {
        let [before, here, after] = [correlation[lag - 1], correlation[lag], correlation[lag + 1]];
        if here <= before || here < after || here <= 0.5 * options.voicing_threshold {
            continue;
        }
        // The parabola through the three values gives place and height of the maximum between pcm samples.
        let slope = 0.5 * (after - before);
        let curvature = 2.0 * here - before - after;
        let f0_hz = rate / (lag as f64 + slope / curvature);
        let height = here + 0.5 * slope * slope / curvature;
        if !(options.min_hz..=options.max_hz).contains(&f0_hz) {
            continue;
        }
        // Noise in very short lags can exceed 1, which no periodic sound does: the paper's reflection.
        let height = if height > 1.0 { 1.0 / height } else { height };
        let strength = height + options.octave_cost * (f0_hz / options.min_hz).log2();
        found.push(Candidate { f0_hz, strength });
    }
    found.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    found.truncate(MAX_CANDIDATES - 1);
    found
}

/// Viterbi: the sequence of candidates with the highest sum of strengths less transition costs.
fn least_cost_path(candidates: &[Vec<Candidate>], options: &F0Options) -> Vec<f32> {
    let scale = COST_STEP_S * options.mel_frames_per_second;
    let cost = |from: &Candidate, to: &Candidate| match (from.f0_hz > 0.0, to.f0_hz > 0.0) {
        (false, false) => 0.0,
        (true, true) => scale * options.octave_jump_cost * (from.f0_hz / to.f0_hz).log2().abs(),
        _ => scale * options.voicing_change_cost,
    };
    let mut came_from: Vec<Vec<usize>> = Vec::with_capacity(candidates.len());
    let mut scores: Vec<f64> = Vec::new();
    for (mel_frame, here) in candidates.iter().enumerate() {
        let Some(previous) = mel_frame.checked_sub(1).map(|at| &candidates[at]) else {
            scores = here.iter().map(|candidate| candidate.strength).collect();
            came_from.push(vec![0; here.len()]);
            continue;
        };
        let mut origins = Vec::with_capacity(here.len());
        let mut next = Vec::with_capacity(here.len());
        for to in here {
            let (best, score) = previous
                .iter()
                .zip(&scores)
                .map(|(from, score)| score - cost(from, to))
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .expect("every mel frame has its unvoiced candidate");
            origins.push(best);
            next.push(score + to.strength);
        }
        came_from.push(origins);
        scores = next;
    }
    let mut choice = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
    let mut path = vec![0.0; candidates.len()];
    for mel_frame in (0..candidates.len()).rev() {
        path[mel_frame] = candidates[mel_frame][choice].f0_hz as f32;
        choice = came_from[mel_frame][choice];
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use std::f64::consts::TAU;

    const RATE: u32 = 24_000;

    /// Harmonics of a gliding F0 under the formants of a vowel, as a sum of cosines.
    fn vowel(f0_hz: impl Fn(f64) -> f64, formants_hz: &[f64], seconds: f64) -> Vec<f32> {
        let mut phase = 0.0;
        (0..(seconds * f64::from(RATE)) as usize)
            .map(|i| {
                let f0 = f0_hz(i as f64 / f64::from(RATE));
                phase += TAU * f0 / f64::from(RATE);
                let harmonics = 1..(5000.0 / f0) as usize;
                let sum: f64 = harmonics
                    .map(|h| {
                        let hz = h as f64 * f0;
                        let gain: f64 = formants_hz.iter().map(|f| 1.0 / (1.0 + ((hz - f) / 60.0).powi(2))).sum();
                        (0.02 + gain) * (h as f64 * phase).cos()
                    })
                    .sum();
                (0.1 * sum) as f32
            })
            .collect()
    }

    #[test]
    fn finds_f0_of_vowels_within_one_percent() {
        for (f0, formants) in
            [(85.0, [700.0, 1200.0]), (130.0, [300.0, 2300.0]), (220.0, [500.0, 900.0]), (330.0, [350.0, 800.0])]
        {
            let truth = |t: f64| f0 * (1.0 + 0.2 * (TAU * 1.3 * t).sin());
            let found = track(&vowel(truth, &formants, 0.6), RATE);
            assert_eq!(found.len(), 48);
            for (mel_frame, &hz) in found.iter().enumerate().skip(2).take(44) {
                let expected = truth((mel_frame as f64 + 0.5) / 80.0);
                let error = (f64::from(hz) / expected - 1.0).abs();
                assert!(error < 0.01, "mel frame {mel_frame}: {hz} Hz for {expected} Hz");
            }
        }
    }

    #[test]
    fn noise_and_silence_are_unvoiced() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let noise: Vec<f32> = (0..24_000).map(|_| rng.random_range(-0.3..0.3)).collect();
        let voiced = track(&noise, RATE).iter().filter(|&&hz| hz > 0.0).count();
        assert!(voiced <= 2, "{voiced} of 80 mel frames of white noise are voiced");
        assert!(track(&[0.0; 3000], RATE).iter().all(|&hz| hz == 0.0));
        assert!(track(&[], RATE).is_empty());
    }

    #[test]
    fn finds_where_voice_begins_and_ends() {
        let mut pcm = vec![0.0f32; 6000];
        pcm.extend(vowel(|_| 180.0, &[600.0, 1100.0], 0.25));
        pcm.extend([0.0; 6000]);
        let found = track(&pcm, RATE);
        assert_eq!(found.len(), 60);
        let first = found.iter().position(|&hz| hz > 0.0).expect("the vowel is voiced");
        let last = found.iter().rposition(|&hz| hz > 0.0).expect("the vowel is voiced");
        assert!((18..=21).contains(&first) && (38..=41).contains(&last), "{first}..={last}");
        assert!(found[first..=last].iter().all(|&hz| (178.0..182.0).contains(&hz)));
    }

    #[test]
    fn other_sample_rates_keep_80_mel_frames_a_second() {
        let tone: Vec<f32> = (0..22_050).map(|i| (TAU * 200.0 * f64::from(i) / 22_050.0).sin() as f32).collect();
        let found = track(&tone, 22_050);
        assert_eq!(found.len(), 80);
        assert!(found[10..70].iter().all(|&hz| (199.0..201.0).contains(&hz)));
    }
}
