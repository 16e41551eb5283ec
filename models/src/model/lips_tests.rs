//! The lips as a whole: sizes, padding, context, prepared identities, gradients.

use candle_core::{Device, Result, Tensor};

use super::LipsModel;
use crate::checks::{bits, check_gradients, difference, ids, noise};
use crate::config::{LipsConfig, from_toml, preset, to_toml};
use crate::image_decoder::ImageStack;
use crate::length_regulator::PLACE_FEATURES;
use crate::losses;
use crate::mode::{DropoutRng, Mode};
use crate::motion_decoder::MotionStack;
use crate::params::Params;

/// The light or the paper lips with a few channels.
fn tiny(name: &str) -> LipsConfig {
    let mut cfg: LipsConfig = preset(name).unwrap();
    cfg.published_leftovers = false;
    (cfg.identity.channels, cfg.identity.vector) = (vec![2, 3, 3, 4], 8);
    (cfg.motion.state_width, cfg.motion.width, cfg.motion.state_dropout) = (8, 8, 0.5);
    (cfg.encoder, cfg.duration) = (None, None);
    match &mut cfg.motion.stack {
        MotionStack::Conv(stack) => (stack.blocks, stack.hidden, stack.kernel) = (1, 8, 3),
        MotionStack::Fft(stack) => (stack.layers, stack.hidden, stack.kernel) = (1, 8, 3),
    }
    cfg.image.base_channels = 4;
    match &mut cfg.image.stack {
        ImageStack::PixelShuffle { channels, .. } => *channels = vec![4, 3, 3],
        ImageStack::Transposed { channels, tail, kernel } => {
            (*channels, *tail, *kernel) = (vec![4, 3, 3, 2], vec![2], 3);
        }
    }
    cfg
}

fn pixels(images: usize, seed: u64) -> Tensor {
    ((noise((images, 3, 80, 160), seed) * 0.5).unwrap() + 0.5).unwrap()
}

#[test]
fn light_has_the_planned_size() {
    let summary = preset::<LipsConfig>("lips-light").unwrap().summary().unwrap();
    let parts: Vec<_> = summary.parts().iter().map(|(part, _)| part.as_str()).collect();
    assert_eq!(parts, ["identity", "image", "motion"]);
    assert!((6_900_000..7_500_000).contains(&summary.total()), "{summary}");
}

#[test]
fn paper_has_the_published_parameters() {
    let mut cfg: LipsConfig = preset("lips-paper").unwrap();
    for symbols in [47, 32] {
        cfg.encoder.as_mut().unwrap().vocab = vec![symbols];
        let summary = cfg.summary().unwrap();
        assert_eq!(summary.total(), 35_215_873 + 256 * symbols, "{summary}");
        // FFT blocks and final norms of both stacks, the embedding, and the weight of the motion decoder's sinusoids.
        let stacks = summary.part("encoder") + summary.part("motion");
        assert_eq!(stacks, 23_088_128 + 256 * symbols + 1);
        assert_eq!(summary.part("identity"), 1_909_376);
        assert_eq!(summary.part("image"), 9_737_007);
        assert_eq!(summary.part("duration"), 395_009);
        assert_eq!(summary.part("leftover"), 20_560 + 65_792);
    }
    cfg.published_leftovers = false;
    assert_eq!(cfg.summary().unwrap().part("leftover"), 0);
}

#[test]
fn presets_survive_being_written() {
    for name in ["lips-light", "lips-paper"] {
        let cfg: LipsConfig = preset(name).unwrap();
        assert_eq!(from_toml::<LipsConfig>(&to_toml(&cfg).unwrap()).unwrap(), cfg);
    }
}

#[test]
fn paper_images_have_the_published_shapes() {
    let cfg: LipsConfig = preset("lips-paper").unwrap();
    let sizes = cfg.identity.map_sizes();
    assert_eq!(sizes, [[16, 40, 80], [32, 20, 40], [64, 10, 20], [128, 5, 10]]);
    let model = LipsModel::new(&cfg, Params::new(1, &Device::Cpu).builder()).unwrap();
    let identity = model.identity.forward(&pixels(1, 1), &Mode::Eval).unwrap();
    for (map, [channels, height, width]) in identity.maps.iter().zip(sizes) {
        assert_eq!(map.dims(), [1, channels, height, width]);
    }
    let (regulated, place) = (noise((1, 2, 256), 2), noise((1, 2, PLACE_FEATURES), 3));
    let motion = model.motion.forward(&regulated, None, &place, &identity.vector, &Mode::Eval).unwrap();
    let owner = Tensor::zeros(2, candle_core::DType::U32, &Device::Cpu).unwrap();
    let images = model.image.forward(&motion.squeeze(0).unwrap(), &owner, &identity, &Mode::Eval).unwrap();
    assert_eq!(images.dims(), [2, 3, 80, 160]);
}

#[test]
fn wrong_sizes_are_refused() {
    let vb = || Params::new(1, &Device::Cpu).builder();
    let mut cfg = tiny("lips-light");
    cfg.identity.vector = 9;
    assert!(LipsModel::new(&cfg, vb()).unwrap_err().to_string().contains("motion.width"));
    let mut cfg = tiny("lips-light");
    cfg.identity.channels.pop();
    assert!(LipsModel::new(&cfg, vb()).unwrap_err().to_string().contains("halves 3 times"));
    let mut cfg = tiny("lips-paper");
    cfg.motion.state_width = 6;
    assert!(LipsModel::new(&cfg, vb()).unwrap_err().to_string().contains("state_width"));
}

#[test]
fn prepared_identity_gives_the_images_of_forward() {
    for name in ["lips-light", "lips-paper"] {
        let cfg = tiny(name);
        let params = Params::new(2, &Device::Cpu);
        let model = LipsModel::new(&cfg, params.builder()).unwrap();
        // A training pass, so that BatchNorm's running statistics are not those it starts with.
        let rng = DropoutRng::new(1);
        let motion = noise((20, 8), 4);
        let owner = ids(20, 2, 5);
        let train = Mode::Train(&rng);
        let both = model.identity.forward(&pixels(2, 3), &train).unwrap();
        model.image.forward(&motion, &owner, &both, &train).unwrap();

        let one = model.identity.forward(&pixels(1, 6), &Mode::Eval).unwrap();
        let owner = owner.zeros_like().unwrap();
        let expected = model.image.forward(&motion, &owner, &one, &Mode::Eval).unwrap();
        // More images than pass the stages together.
        let decoded = model.image.decode(&motion, &model.image.prepare(&one).unwrap()).unwrap();
        assert!(difference(&decoded, &expected) < 1e-4, "{name}: {}", difference(&decoded, &expected));
        assert!(model.image.prepare(&both).is_err());
        let spread = expected.max_all().unwrap().to_scalar::<f32>().unwrap()
            - expected.min_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(spread > 0.05, "{name}: the images are flat");
    }
}

#[test]
fn images_belong_to_their_owner() {
    let model = LipsModel::new(&tiny("lips-light"), Params::new(2, &Device::Cpu).builder()).unwrap();
    let faces = pixels(2, 3);
    let both = model.identity.forward(&faces, &Mode::Eval).unwrap();
    let second = model.identity.forward(&faces.narrow(0, 1, 1).unwrap(), &Mode::Eval).unwrap();
    let motion = noise((3, 8), 4);
    let owner = Tensor::new(&[0u32, 1, 1], &Device::Cpu).unwrap();
    let mixed = model.image.forward(&motion, &owner, &both, &Mode::Eval).unwrap().narrow(0, 1, 2).unwrap();
    let zeros = Tensor::zeros(2, candle_core::DType::U32, &Device::Cpu).unwrap();
    let alone = model.image.forward(&motion.narrow(0, 1, 2).unwrap(), &zeros, &second, &Mode::Eval).unwrap();
    assert!(difference(&mixed, &alone) < 1e-5);
}

#[test]
fn padding_changes_no_motion() {
    for name in ["lips-light", "lips-paper"] {
        let model = LipsModel::new(&tiny(name), Params::new(2, &Device::Cpu).builder()).unwrap();
        let (states, place, visemes) = (noise((2, 9, 8), 1), noise((2, 9, PLACE_FEATURES), 2), ids((2, 9), 15, 3));
        let identity = noise((2, 8), 4);
        let mask = Tensor::new(&[[1f32, 1., 1., 1., 1., 0., 0., 0., 0.], [1.; 9]], &Device::Cpu).unwrap();
        let motion = |rows: usize, n: usize, mask: Option<&Tensor>| {
            let cut = |xs: &Tensor| xs.narrow(0, 0, rows).unwrap().narrow(1, 0, n).unwrap();
            let (states, visemes, place) = (cut(&states), cut(&visemes), cut(&place));
            let identity = identity.narrow(0, 0, rows).unwrap();
            model.motion.forward_masked(&states, Some(&visemes), &place, &identity, mask, &Mode::Eval).unwrap()
        };
        let (padded, single) = (motion(2, 9, Some(&mask)).narrow(0, 0, 1).unwrap(), motion(1, 5, None));
        assert!(difference(&padded.narrow(1, 0, 5).unwrap(), &single) < 1e-5, "{name}");
        assert_eq!(bits(&padded.narrow(1, 5, 4).unwrap()), [0; 32]);
    }
}

#[test]
fn motion_depends_on_its_context_alone() {
    let cfg: LipsConfig = preset("lips-light").unwrap();
    let model = LipsModel::new(&cfg, Params::new(3, &Device::Cpu).builder()).unwrap();
    let context = model.motion.context();
    assert_eq!(context, 16);
    let (positions, at) = (2 * context + 20, context + 5);
    let (states, place) = (noise((1, positions, 192), 1), noise((1, positions, PLACE_FEATURES), 2));
    let visemes = ids((1, positions), 15, 3);
    let identity = noise((1, 192), 4);
    let changed = |row: Option<usize>| {
        let mut states = states.clone();
        if let Some(row) = row {
            let after = states.narrow(1, row + 1, positions - row - 1).unwrap();
            states = Tensor::cat(&[states.narrow(1, 0, row).unwrap(), noise((1, 1, 192), 9), after], 1).unwrap();
        }
        let motion = model.motion.forward(&states, Some(&visemes), &place, &identity, &Mode::Eval).unwrap();
        bits(&motion.narrow(1, at, 1).unwrap())
    };
    let before = changed(None);
    assert_eq!(changed(Some(at + context + 1)), before);
    assert_eq!(changed(Some(at - context - 1)), before);
    assert_ne!(changed(Some(at + context)), before);
    assert_ne!(changed(Some(at - context)), before);
}

#[test]
fn gradients_of_whole_lips_are_right_for_a_batch() {
    for name in ["lips-light", "lips-paper"] {
        let mut cfg = tiny(name);
        // Dropout of whole sentences would leave too little to compare in a batch of two.
        cfg.motion.state_dropout = 0.;
        let params = Params::new(11, &Device::Cpu);
        let model = LipsModel::new(&cfg, params.builder()).unwrap();
        let (states, place, visemes) = (noise((2, 2, 8), 1), noise((2, 2, PLACE_FEATURES), 2), ids((2, 2), 15, 3));
        let (faces, targets) = (pixels(2, 4), pixels(4, 5));
        let owner = Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu).unwrap();
        let loss = || -> Result<Tensor> {
            let rng = DropoutRng::new(4);
            let mode = Mode::Train(&rng);
            let identity = model.identity.forward(&faces, &mode)?;
            let motion = model.motion.forward(&states, Some(&visemes), &place, &identity.vector, &mode)?;
            let images = model.image.forward(&motion.reshape((4, 8))?, &owner, &identity, &mode)?;
            losses::l1(&images, &targets)? + ((1. - losses::ssim(&images, &targets)?)? * 0.3)?
        };
        let compared = check_gradients(&params, loss);
        assert!(compared * 3 > params.trainable().len(), "{name}: {compared} of {}", params.trainable().len());
    }
}
