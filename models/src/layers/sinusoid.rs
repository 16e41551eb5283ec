//! Sinusoids that number positions, in tensor2tensor's layout, which ParaLip uses: all sines, then all cosines.

use candle_core::{Device, Result, Tensor};

/// The vectors of positions 1, 2, ...: position 0 is padding's and does not occur.
///
/// Frequency i of width / 2 is exp(-i ln(10000) / (width / 2 - 1)).
///
/// # Shapes
/// - output: (1, positions, width)
///
/// # Errors
/// An odd width, or one below 4.
pub fn sinusoid(positions: usize, width: usize, device: &Device) -> Result<Tensor> {
    if width < 4 || !width.is_multiple_of(2) {
        candle_core::bail!("sinusoids need an even width of at least 4, not {width}");
    }
    let half = width / 2;
    let step = 10000f64.ln() / (half - 1) as f64;
    let angle = |position: usize, i: usize| position as f64 * (-(i as f64) * step).exp();
    let row = |position: usize| {
        let sines = (0..half).map(move |i| angle(position, i).sin() as f32);
        sines.chain((0..half).map(move |i| angle(position, i).cos() as f32))
    };
    let values: Vec<f32> = (1..=positions).flat_map(row).collect();
    Tensor::from_vec(values, (1, positions, width), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_half_sine_second_half_cosine_from_position_1() {
        let rows = sinusoid(3, 6, &Device::Cpu).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        for (i, frequency) in [1f32, 0.01, 0.0001].into_iter().enumerate() {
            assert!((rows[1][i] - (2. * frequency).sin()).abs() < 1e-6);
            assert!((rows[2][3 + i] - (3. * frequency).cos()).abs() < 1e-6);
        }
        assert!(sinusoid(3, 5, &Device::Cpu).is_err());
    }
}
