//! The voice as a whole: sizes, padding, context, gradients.

use super::*;
use crate::checks::{bits, check_gradients, difference, ids, noise};
use crate::config::{from_toml, preset, preset_text};
use crate::length_regulator::{PLACE_FEATURES, regulate};
use crate::losses;
use crate::mode::{DropoutRng, Mode};
use candle_core::{DType, Tensor};

fn mask(lengths: &[usize], longest: usize) -> Tensor {
    let rows = lengths.iter().flat_map(|n| (0..longest).map(move |i| if i < *n { 1f32 } else { 0. }));
    Tensor::from_vec(rows.collect(), (lengths.len(), longest), &Device::Cpu).unwrap()
}

fn tiny(n_voices: usize) -> VoiceConfig {
    let mut cfg: VoiceConfig = preset("voice-light").unwrap();
    cfg.n_voices = n_voices;
    (cfg.encoder.width, cfg.duration.channels, cfg.mel.channels, cfg.mel.n_mels) = (8, 8, 8, 5);
    cfg.mel.stack.blocks = 2;
    cfg.mel.stack.kernel = 3;
    cfg.pitch.channels = 8;
    for stack in [&mut cfg.pitch.melody, &mut cfg.pitch.stack] {
        (stack.blocks, stack.kernel) = (1, 3);
    }
    cfg
}

#[test]
fn light_voice_has_the_planned_size() {
    let summary = preset::<VoiceConfig>("voice-light").unwrap().summary().unwrap();
    assert_eq!(
        summary.parts().iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>(),
        ["duration", "encoder", "mel", "pitch"]
    );
    assert!((4_000_000..4_600_000).contains(&summary.total()), "{summary}");
}

#[test]
fn an_unknown_key_is_an_error_wherever_it_stands() {
    let text = preset_text("voice-light").unwrap();
    for (place, key) in [
        ("n_voices", "voices = 2\nn_voices"),
        ("kernel = 7", "kernel = 7, kernal = 9"),
        ("layers", "layer = 1\nlayers"),
    ] {
        let error = from_toml::<VoiceConfig>(&text.replacen(place, key, 1)).unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
    assert!(preset::<VoiceConfig>("voice-huge").unwrap_err().to_string().contains("voice-light"));
}

#[test]
fn padding_changes_neither_states_nor_durations() {
    let cfg = tiny(1);
    let model = VoiceModel::new(&cfg, Params::new(3, &Device::Cpu).builder()).unwrap();
    let symbols = ids((1, 6, 4), 3, 1);
    let padding = ids((1, 5, 4), 3, 2);
    let other = ids((1, 11, 4), 3, 3);
    let batch = Tensor::cat(&[Tensor::cat(&[&symbols, &padding], 1).unwrap(), other], 0).unwrap();
    let alone = model.encoder.forward(&symbols, &mask(&[6], 6), &Mode::Eval).unwrap();
    let both_mask = mask(&[6, 11], 11);
    let both = model.encoder.forward(&batch, &both_mask, &Mode::Eval).unwrap();
    let first = both.narrow(0, 0, 1).unwrap();
    assert!(difference(&first.narrow(1, 0, 6).unwrap(), &alone) < 1e-5);
    assert_eq!(first.narrow(1, 6, 5).unwrap().abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap(), 0.);
    let beginning = |of_both: &Tensor| of_both.narrow(0, 0, 1).unwrap().narrow(1, 0, 6).unwrap();
    let durations = model.duration.forward(&both, &both_mask, None, &Mode::Eval).unwrap();
    let single = model.duration.forward(&alone, &mask(&[6], 6), None, &Mode::Eval).unwrap();
    assert!(difference(&beginning(&durations), &single) < 1e-5);
    let melodies = model.pitch.melody(&both, &both_mask, None, &Mode::Eval).unwrap();
    let single = model.pitch.melody(&alone, &mask(&[6], 6), None, &Mode::Eval).unwrap();
    assert!(difference(&beginning(&melodies), &single) < 1e-5);
}

/// What a net makes of a mel frame, from rows of `width` numbers, must hang on `context` mel frames on each side and on no
/// others.
fn assert_context(context: usize, width: usize, net: impl Fn(&Tensor, &Tensor) -> Vec<Tensor>) {
    let (frames, at) = (3 * context, context + 5);
    let (rows, place) = (noise((1, frames, width), 1), noise((1, frames, PLACE_FEATURES), 2));
    let output = |rows: &Tensor| {
        let outputs = net(rows, &place);
        let at = outputs.iter().map(|values| values.narrow(1, at, 1).unwrap().flatten_all().unwrap());
        bits(&Tensor::cat(&at.collect::<Vec<_>>(), 0).unwrap())
    };
    let changed = |row: usize| {
        let noise = noise((1, 1, width), 9);
        let parts = [rows.narrow(1, 0, row).unwrap(), noise, rows.narrow(1, row + 1, frames - row - 1).unwrap()];
        output(&Tensor::cat(&parts, 1).unwrap())
    };
    let before = output(&rows);
    assert_eq!(changed(at + context + 1), before);
    assert_eq!(changed(at - context - 1), before);
    assert_ne!(changed(at + context), before);
    assert_ne!(changed(at - context), before);
}

#[test]
fn a_mel_frame_depends_on_its_context_alone() {
    let cfg = preset::<VoiceConfig>("voice-light").unwrap();
    let model = VoiceModel::new(&cfg, Params::new(3, &Device::Cpu).builder()).unwrap();
    assert_eq!((model.mel.context(), model.pitch.context()), (18, 16));
    assert_context(18, 192, |states, place| vec![model.mel.forward(states, place, None, &Mode::Eval).unwrap()]);
    assert_context(16, 128, |melody, place| {
        let pitch = model.pitch.on_grid(melody, place, &Mode::Eval).unwrap();
        vec![pitch.log_f0, pitch.voicing_logit]
    });
}

#[test]
fn gradients_of_a_whole_voice_are_right_for_a_batch() {
    let params = Params::new(11, &Device::Cpu);
    let model = VoiceModel::new(&tiny(2), params.builder()).unwrap();
    let symbols = ids((2, 5, 4), 3, 1);
    let symbol_mask = mask(&[5, 3], 5);
    let index = Tensor::new(&[[0u32, 0, 1, 2, 2, 3, 4], [0, 1, 1, 1, 2, 2, 2]], &Device::Cpu).unwrap();
    let frame_mask = mask(&[7, 6], 7);
    let place = noise((2, 7, PLACE_FEATURES), 5);
    let voice = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
    let durations = (ids((2, 5), 6, 6).to_dtype(DType::F32).unwrap() + 1.).unwrap();
    let (mel, log_f0) = ((noise((2, 7, 5), 7) - 5.).unwrap(), (noise((2, 7), 8) + 5.).unwrap());
    let voiced = ids((2, 7), 2, 9).to_dtype(DType::F32).unwrap();
    // The predictor stops the gradient to the encoder, which finite differences cannot: it gets states of its own here.
    let stopped = noise((2, 5, 8), 10);
    let loss = || {
        let rng = DropoutRng::new(4);
        let mode = Mode::Train(&rng);
        let states = model.encoder.forward(&symbols, &symbol_mask, &mode)?;
        let predicted = model.duration.forward(&stopped, &symbol_mask, Some(&voice), &mode)?;
        let out = model.pitch.forward(&states, &symbol_mask, [&index, &place], Some(&voice), &mode)?;
        let predicted_mel = model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &mode)?;
        let total = (losses::masked_l1(&predicted_mel, &mel, &frame_mask)?
            + losses::masked_l1(&out.log_f0, &log_f0, &(&voiced * &frame_mask)?)?)?;
        let total = (total + losses::voicing_cross_entropy(&out.voicing_logit, &voiced, &frame_mask)?)?;
        let total = (total + losses::duration_token_l1(&predicted, &durations, &symbol_mask)?)?;
        total + (losses::duration_sentence_l1(&predicted, &durations, &symbol_mask)? * 0.1)?
    };
    let compared = check_gradients(&params, loss);
    assert!(compared * 3 > params.trainable().len() * 2, "{compared} of {}", params.trainable().len());
}
