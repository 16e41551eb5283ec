//! A loss that tells attention the direction of reading.

use candle_core::{Result, Tensor};

/// Guided attention (Tachibana et al. 2018, "Efficiently trainable text-to-speech system"): how far from the diagonal a
/// sequence looks at its text, as the mean over its positions of the sum over symbols of
/// weight * (1 - exp(-d^2 / (2 width^2))), where d is the difference of the places (i + 1/2) / length of position and
/// symbol.
///
/// # Shapes
/// - `attention`: (B, T, S)
/// - `lengths`: positions and symbols of each sequence, the rest being padding
pub fn guided_attention(attention: &Tensor, lengths: &[(usize, usize)], width: f64) -> Result<Tensor> {
    let (_, positions, symbols) = attention.dims3()?;
    let mut penalties = Vec::with_capacity(lengths.len() * positions * symbols);
    for &(real_positions, real_symbols) in lengths {
        let penalty = |t: usize, s: usize| {
            if t >= real_positions || s >= real_symbols {
                return 0.;
            }
            let place = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
            let d = (place(t, real_positions) - place(s, real_symbols)) / width;
            (1. - (-0.5 * d * d).exp()) as f32
        };
        penalties.extend((0..positions).flat_map(|t| (0..symbols).map(move |s| penalty(t, s))));
    }
    let penalties = Tensor::from_vec(penalties, attention.dims3()?, attention.device())?;
    let real: usize = lengths.iter().map(|(positions, _)| positions).sum();
    (attention * penalties)?.sum_all()? / real.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_diagonal_is_free_and_padding_does_not_count() {
        let tensor = |rows: [[f32; 4]; 3]| Tensor::new(&[rows], &Device::Cpu).unwrap();
        let value = |xs: &Tensor, lengths| guided_attention(xs, &[lengths], 0.2).unwrap().to_scalar::<f32>().unwrap();
        let diagonal = tensor([[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.]]);
        assert_eq!(value(&diagonal, (3, 3)), 0.);
        // The whole film looks at the first of three symbols; what lies in the padding is worth nothing.
        let stuck = tensor([[1., 0., 0., 9.], [1., 0., 0., 9.], [1., 0., 0., 9.]]);
        let far = |d: f64| 1. - (-0.5 * (d / 0.2) * (d / 0.2)).exp();
        let expected = (far(1. / 3.) + far(2. / 3.)) / 3.;
        assert!((f64::from(value(&stuck, (3, 3))) - expected).abs() < 1e-6);
        let shorter = (far((0.25_f64 - 1. / 6.).abs()) + far(0.75 - 1. / 6.)) / 2.;
        assert!((f64::from(value(&stuck, (2, 3))) - shorter).abs() < 1e-6);
    }
}
