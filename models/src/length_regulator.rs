//! From symbols to a time grid: each position of the grid takes the state of the symbol that it falls in (FastSpeech, Ren
//! et al. 2019; ParaLip section 3.2), and numbers that say where in the symbol it is.
//!
//! The published ParaLip gives all positions of a symbol the same state. Place features tell them apart without
//! attention, so that a decoder with few convolutions knows when a symbol begins and ends.

use candle_core::{Result, Tensor};

/// How many numbers [`place_features`] gives.
pub const PLACE_FEATURES: usize = 4;

/// Times are compressed as ln(1 + t / this): one mel frame in seconds.
const TIME_UNIT_S: f32 = 0.0125;
/// Brings the compressed time of a symbol of ordinary length (0.1 s) near 1.
const LOG_SCALE: f32 = 0.45;

/// The states of the symbols that the positions of a time grid fall in.
///
/// # Shapes
/// - `states`: (B, S, D)
/// - `index`: (B, T) u32, the symbol of each position, below S
/// - output: (B, T, D)
///
/// # Errors
/// On the CPU, an index of S or above.
pub fn regulate(states: &Tensor, index: &Tensor) -> Result<Tensor> {
    let (batch, symbols, width) = states.dims3()?;
    let (index_batch, positions) = index.dims2()?;
    if index_batch != batch {
        candle_core::bail!("the index has a batch of {index_batch}, the states one of {batch}");
    }
    let mut flat = index.flatten_all()?;
    // Checked here, since in a batch a wrong index would read the next sentence's states. A GPU would have to finish all
    // that it was told before to answer, so there this is left to what the CPU is asked.
    if positions > 0 && index.device().is_cpu() && flat.max(0)?.to_scalar::<u32>()? as usize >= symbols {
        candle_core::bail!("a position points beyond the {symbols} symbols of its sentence");
    }
    if batch > 1 {
        let offsets: Vec<u32> = (0..batch).map(|b| (b * symbols) as u32).collect();
        let offsets = Tensor::from_vec(offsets, (batch, 1), index.device())?;
        flat = index.broadcast_add(&offsets)?.flatten_all()?;
    }
    let rows = states.reshape((batch * symbols, width))?;
    rows.index_select(&flat.contiguous()?, 0)?.reshape((batch, positions, width))
}

/// What the decoders are told about a position inside its symbol: place (0 at the symbol's start, 1 at its end), and
/// time since the start, time to the end and length of the symbol, logarithmically compressed.
///
/// `since_start_s` and `to_end_s` are in seconds; negative ones count as 0.
pub fn place_features(since_start_s: f32, to_end_s: f32) -> [f32; PLACE_FEATURES] {
    let (since, left) = (since_start_s.max(0.), to_end_s.max(0.));
    let length = since + left;
    let place = if length > 0. { since / length } else { 0.5 };
    let compressed = |time_s: f32| LOG_SCALE * (time_s / TIME_UNIT_S).ln_1p();
    [place, compressed(since), compressed(left), compressed(length)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn positions_take_their_own_sentence_s_states() {
        let states = Tensor::arange(0f32, 12., &Device::Cpu).unwrap().reshape((2, 3, 2)).unwrap();
        let index = Tensor::new(&[[0u32, 0, 2, 1], [2, 1, 1, 0]], &Device::Cpu).unwrap();
        let out = regulate(&states, &index).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!(out[0], [[0., 1.], [0., 1.], [4., 5.], [2., 3.]]);
        assert_eq!(out[1], [[10., 11.], [8., 9.], [8., 9.], [6., 7.]]);
        let beyond = Tensor::new(&[[3u32], [0]], &Device::Cpu).unwrap();
        assert!(regulate(&states, &beyond).is_err());
    }

    #[test]
    fn gradients_of_repeated_states_add_up() {
        let states = Var::zeros((2, 3, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
        let index = Tensor::new(&[[0u32, 0, 2, 0], [2, 1, 1, 0]], &Device::Cpu).unwrap();
        let grads = regulate(&states, &index).unwrap().sum_all().unwrap().backward().unwrap();
        let grad: Vec<f32> = grads.get(&states).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(grad, [3., 0., 1., 1., 2., 1.]);
    }

    #[test]
    fn place_goes_from_0_to_1_and_stays_finite() {
        assert_eq!(place_features(0., 0.1)[0], 0.);
        assert_eq!(place_features(0.1, 0.)[0], 1.);
        assert_eq!(place_features(0.05, 0.05)[0], 0.5);
        let [_, since, left, length] = place_features(0.03, 0.07);
        assert!(since < left && left < length && (length - 0.99).abs() < 0.02, "{length}");
        for (since, left) in [(0., 0.), (-1e-4, 0.), (1e4, 1e4)] {
            assert!(place_features(since, left).iter().all(|x| x.is_finite()));
        }
    }
}
