//! The generator against its definition, the published names and sizes, checkpoints and streams.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use paravox_models::params::Params;

use super::*;
use crate::blocks::checks;
use crate::error::VocoderError;
use crate::mel::MelConfig;
use crate::vocoder::Vocoder;

/// A tiny generator of either kind with hop length 4.
fn tiny(resblock: ResBlockKind) -> HifiGanConfig {
    HifiGanConfig {
        mel: MelConfig { sample_rate: 320, n_fft: 16, hop_length: 4, f_max_hz: 160.0, ..MelConfig::default() },
        resblock,
        upsample_rates: vec![2, 2],
        upsample_kernel_sizes: vec![4, 6],
        upsample_initial_channel: 8,
        resblock_kernel_sizes: vec![3, 5],
        resblock_dilation_sizes: vec![vec![1, 3], vec![1, 2]],
    }
}

/// Fresh weights are so small that nothing comes through: larger ones, different for every tensor.
fn lively(config: &HifiGanConfig) -> Result<Params> {
    let params = Params::new(5, &Device::Cpu);
    Generator::new(config, params.builder())?;
    for (index, (name, var)) in params.vars().into_iter().enumerate() {
        let scale = if name.ends_with("weight_g") { 0.9 } else { 0.5 };
        let wave: Vec<f32> =
            (0..var.elem_count()).map(|i| scale * (1.0 + (i * i % 977) as f32 * 1.7 + index as f32).sin()).collect();
        var.set(&Tensor::from_vec(wave, var.shape(), &Device::Cpu)?)?;
    }
    Ok(params)
}

fn mel(mel_frames: usize) -> Result<Tensor> {
    let values: Vec<f32> = (0..80 * mel_frames).map(|i| (i as f32 * 0.37).sin()).collect();
    Tensor::from_vec(values, (1, 80, mel_frames), &Device::Cpu)
}

/// The definition, number by number, in f64.
struct Definition {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

type Signal = Vec<Vec<f64>>;

impl Definition {
    fn new(params: &Params) -> Result<Self> {
        let tensor = |(name, var): (String, candle_core::Var)| {
            let values = var.flatten_all()?.to_vec1::<f32>()?;
            Ok((name, (var.dims().to_vec(), values.into_iter().map(f64::from).collect())))
        };
        Ok(Self { tensors: params.vars().into_iter().map(tensor).collect::<Result<_>>()? })
    }

    fn weight(&self, name: &str) -> (Vec<usize>, impl Fn(usize, usize, usize) -> f64) {
        let (shape, v) = &self.tensors[&format!("{name}.weight_v")];
        let g = &self.tensors[&format!("{name}.weight_g")].1;
        let (rows, taps) = (shape[1] * shape[2], shape[2]);
        let norm = move |a: usize| v[a * rows..(a + 1) * rows].iter().map(|x| x * x).sum::<f64>().sqrt();
        (shape.clone(), move |a, b, k| g[a] * v[a * rows + b * taps + k] / norm(a))
    }

    fn conv(&self, name: &str, xs: &Signal, dilation: usize) -> Signal {
        let (shape, weight) = self.weight(name);
        let bias = &self.tensors[&format!("{name}.bias")].1;
        let padding = (dilation * (shape[2] - 1) / 2) as isize;
        let at = |c: usize, t: isize| usize::try_from(t).ok().and_then(|t| xs[c].get(t)).copied().unwrap_or(0.0);
        let output = |o: usize, t: usize| {
            let taps = (0..shape[1]).flat_map(|c| (0..shape[2]).map(move |k| (c, k)));
            taps.map(|(c, k)| weight(o, c, k) * at(c, (t + k * dilation) as isize - padding)).sum::<f64>() + bias[o]
        };
        (0..shape[0]).map(|o| (0..xs[0].len()).map(|t| output(o, t)).collect()).collect()
    }

    fn upsample(&self, name: &str, xs: &Signal, stride: usize) -> Signal {
        let (shape, weight) = self.weight(name);
        let bias = &self.tensors[&format!("{name}.bias")].1;
        let padding = (shape[2] - stride) / 2;
        let mut ys: Signal = bias.iter().map(|b| vec![*b; xs[0].len() * stride]).collect();
        for (c, row) in xs.iter().enumerate() {
            for (t, x) in row.iter().enumerate() {
                for (o, y) in ys.iter_mut().enumerate() {
                    for k in 0..shape[2] {
                        let place = (t * stride + k).checked_sub(padding);
                        if let Some(y) = place.and_then(|place| y.get_mut(place)) {
                            *y += x * weight(c, o, k);
                        }
                    }
                }
            }
        }
        ys
    }

    fn generate(&self, config: &HifiGanConfig, mel: Signal) -> Vec<f64> {
        let mut xs = self.conv("conv_pre", &mel, 1);
        let mut number = 0;
        for (stage, &rate) in config.upsample_rates.iter().enumerate() {
            xs = self.upsample(&format!("ups.{stage}"), &leaky(&xs, 0.1), rate);
            let mut sum: Option<Signal> = None;
            for dilations in &config.resblock_dilation_sizes {
                let mut block = xs.clone();
                for (step, &dilation) in dilations.iter().enumerate() {
                    let name = |list| format!("resblocks.{number}.{list}.{step}");
                    let inner = match config.resblock {
                        ResBlockKind::One => {
                            let inner = self.conv(&name("convs1"), &leaky(&block, 0.1), dilation);
                            self.conv(&name("convs2"), &leaky(&inner, 0.1), 1)
                        }
                        ResBlockKind::Two => self.conv(&name("convs"), &leaky(&block, 0.1), dilation),
                    };
                    block = add(&block, &inner);
                }
                sum = Some(sum.map_or(block.clone(), |sum| add(&sum, &block)));
                number += 1;
            }
            let parallel = config.resblock_kernel_sizes.len() as f64;
            xs = map(&sum.expect("there are residual blocks"), |x| x / parallel);
        }
        map(&self.conv("conv_post", &leaky(&xs, 0.01), 1), f64::tanh).remove(0)
    }
}

fn map(xs: &Signal, f: impl Fn(f64) -> f64) -> Signal {
    xs.iter().map(|row| row.iter().map(|x| f(*x)).collect()).collect()
}

fn leaky(xs: &Signal, slope: f64) -> Signal {
    map(xs, |x| if x > 0.0 { x } else { slope * x })
}

fn add(a: &Signal, b: &Signal) -> Signal {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

#[test]
fn equals_its_definition_live_and_folded() -> Result<()> {
    for kind in [ResBlockKind::One, ResBlockKind::Two] {
        let config = tiny(kind);
        let params = lively(&config)?;
        let mel = mel(9)?;
        let rows = mel.squeeze(0)?.to_vec2::<f32>()?;
        let signal = rows.iter().map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect();
        let expected = Definition::new(&params)?.generate(&config, signal);
        let spread = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        assert!(spread > 0.1, "the weights of this test give silence");
        let live = Generator::new(&config, params.builder())?;
        for generator in [live.clone(), live.folded()?] {
            let pcm = generator.forward(&mel)?;
            assert_eq!(pcm.dims(), [1, 1, 36]);
            for (got, expected) in pcm.flatten_all()?.to_vec1::<f32>()?.into_iter().zip(&expected) {
                assert!((f64::from(got) - expected).abs() < 1e-4, "{got} for {expected}");
            }
        }
    }
    Ok(())
}

/// The published sizes: V1 13.92 M, V2 0.92 M, V3 1.46 M parameters, which count the folded weights; and the published
/// names.
#[test]
fn has_the_published_parameters_and_names() -> Result<()> {
    for (config, published) in [(HifiGanConfig::v1(), 13.92), (HifiGanConfig::v2(), 0.92), (HifiGanConfig::v3(), 1.46)]
    {
        let params = Params::new(0, &Device::Cpu);
        Generator::new(&config, params.builder())?;
        let shapes: BTreeMap<_, _> = params.vars().into_iter().map(|(name, var)| (name, var.dims().to_vec())).collect();
        assert_eq!(shapes, tensor_shapes(&config));
        let count = shapes.iter().filter(|(name, _)| !name.ends_with("_g"));
        let millions = count.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>() as f64 / 1e6;
        assert!((millions - published).abs() < 0.0101, "{millions} M for {published} M");
    }
    let v1 = tensor_shapes(&HifiGanConfig::v1());
    // 1 + 4 + 4 x 3 x (3 + 3) + 1 convolutions of three tensors each.
    assert_eq!(v1.len(), 78 * 3);
    for (name, shape) in [
        ("conv_pre.weight_g", vec![512, 1, 1]),
        ("conv_pre.weight_v", vec![512, 80, 7]),
        ("ups.0.weight_g", vec![512, 1, 1]),
        ("ups.0.weight_v", vec![512, 256, 16]),
        ("ups.3.bias", vec![32]),
        ("resblocks.0.convs1.0.weight_v", vec![256, 256, 3]),
        ("resblocks.11.convs2.2.weight_v", vec![32, 32, 11]),
        ("conv_post.weight_v", vec![1, 32, 7]),
    ] {
        assert_eq!(v1[name], shape, "{name}");
    }
    assert!(tensor_shapes(&HifiGanConfig::v3()).contains_key("resblocks.8.convs.1.weight_g"));
    Ok(())
}

#[test]
fn trains_through_the_weight_normalisation() -> Result<()> {
    let config = tiny(ResBlockKind::One);
    let params = lively(&config)?;
    let generator = Generator::new(&config, params.builder())?;
    let mel = mel(6)?;
    let loss = || generator.forward(&mel)?.sqr()?.mean_all();
    let grads = loss()?.backward()?;
    for (name, var) in params.vars() {
        let grad = grads.get(&var).unwrap_or_else(|| panic!("{name} has no gradient"));
        // Along the gradient: finite differences of one number.
        let direction = (grad / grad.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt().max(1e-12) as f64)?;
        let slope = (grad * &direction)?.sum_all()?.to_scalar::<f32>()?;
        let start = var.as_tensor().copy()?;
        let moved = |step: f64| -> Result<f32> {
            var.set(&(&start + (&direction * step)?)?)?;
            loss()?.to_scalar::<f32>()
        };
        let measured = (moved(2e-3)? - moved(-2e-3)?) / 4e-3;
        var.set(&start)?;
        assert!((slope - measured).abs() < 0.03 * slope.abs() + 1e-3, "{name}: {slope} for {measured}");
    }
    Ok(())
}

#[test]
fn streamed_equals_whole_and_one_pass() -> crate::Result<()> {
    let config = tiny(ResBlockKind::One);
    let vocoder = HifiGanVocoder::new(&config, lively(&config)?.builder())?;
    checks::streamed_equals_whole(&vocoder, config.context(), &[0, 1, 17, 120])?;
    checks::threads_do_not_show(&vocoder, 60)?;
    let features = checks::features(70);
    let mel = Tensor::from_slice(&features.mel, (1, 70, 80), &Device::Cpu)?.transpose(1, 2)?;
    let whole = Generator::new(&config, lively(&config)?.builder())?.forward(&mel)?.flatten_all()?.to_vec1::<f32>()?;
    for (a, b) in vocoder.synthesise(&features, 0)?.iter().zip(&whole) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    Ok(())
}

#[test]
fn reads_safetensors_strictly() -> crate::Result<()> {
    let config = tiny(ResBlockKind::Two);
    let params = lively(&config)?;
    let expected = HifiGanVocoder::new(&config, params.builder())?.synthesise(&checks::features(5), 0)?;
    let folder = std::env::temp_dir().join(format!("paravox-hifigan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let path = folder.join("generator.safetensors");
    let mut tensors: std::collections::HashMap<_, _> =
        params.vars().into_iter().map(|(name, var)| (name, var.into_inner())).collect();
    candle_core::safetensors::save(&tensors, &path)?;
    assert_eq!(HifiGanVocoder::open(&config, &path)?.synthesise(&checks::features(5), 0)?, expected);
    // Folded files have `weight` alone.
    let folded = tensors.keys().filter(|name| name.ends_with(".weight_v")).cloned().collect::<Vec<_>>();
    let mut plain = tensors.clone();
    for name in folded {
        let base = name.trim_end_matches("_v");
        let vb = VarBuilder::from_tensors(tensors.clone(), candle_core::DType::F32, &Device::Cpu);
        let shape = tensors[&name].dims3()?;
        let weight = super::weight_norm::NormedWeight::new(shape, 0.01, &vb.pp(base.trim_end_matches(".weight")))?;
        plain.insert(base.to_owned(), weight.weight()?);
        plain.remove(&name);
        plain.remove(&format!("{base}_g"));
    }
    candle_core::safetensors::save(&plain, &path)?;
    assert_eq!(HifiGanVocoder::open(&config, &path)?.synthesise(&checks::features(5), 0)?, expected);

    let refused = |tensors: &std::collections::HashMap<String, Tensor>| -> crate::Result<String> {
        candle_core::safetensors::save(tensors, &path)?;
        match HifiGanVocoder::open(&config, &path) {
            Err(VocoderError::Checkpoint(message)) => Ok(message),
            other => panic!("accepted or refused otherwise: {:?}", other.err()),
        }
    };
    let bias = tensors.remove("conv_post.bias").expect("it is there");
    assert!(refused(&tensors)?.contains("conv_post.bias is missing"));
    tensors.insert("conv_post.bias".to_owned(), bias.clone());
    tensors.insert("mpd.0.bias".to_owned(), bias);
    assert!(refused(&tensors)?.contains("mpd.0.bias"));
    std::fs::write(&path, b"not weights").expect("a temporary file can be written");
    assert!(matches!(HifiGanVocoder::open(&config, &path), Err(VocoderError::Checkpoint(_))));
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    Ok(())
}
