//! Losses that are short compositions of tensor operations. Each is a scalar.

use candle_core::{Result, Tensor};

/// Mean absolute difference.
///
/// # Shapes
/// - `prediction`, `target`: any, equal
pub fn l1(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    (prediction - target)?.abs()?.mean_all()
}

/// Mean absolute difference of the positions where `mask` is 1; 0 where there is none.
///
/// # Shapes
/// - `prediction`, `target`: (B, T) or (B, T, C), equal
/// - `mask`: (B, T)
pub fn masked_l1(prediction: &Tensor, target: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let difference = (prediction - target)?.abs()?;
    let difference = if difference.rank() == 3 { difference.mean(2)? } else { difference };
    masked_mean(&difference, mask)
}

/// Mean absolute difference of ln(1 + duration) over symbols (ParaLip equation 4, first term, in the domain that the
/// predictor works in).
///
/// # Shapes
/// - `prediction`: (B, S), ln(1 + duration) as the predictor gives it
/// - `durations`: (B, S) f32, in the predictor's unit
/// - `mask`: (B, S)
pub fn duration_token_l1(prediction: &Tensor, durations: &Tensor, mask: &Tensor) -> Result<Tensor> {
    masked_l1(prediction, &(durations + 1.)?.log()?, mask)
}

/// Mean over sentences of the absolute difference of their total lengths, in the predictor's unit and divided by the
/// sentence's number of symbols so that long sentences weigh no more than short ones (ParaLip equation 4, second term).
///
/// # Shapes
/// As [`duration_token_l1`].
pub fn duration_sentence_l1(prediction: &Tensor, durations: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let difference = (((prediction.exp()? - 1.)? - durations)? * mask)?.sum(1)?;
    let symbols = mask.sum(1)?.maximum(1.)?;
    (difference / symbols)?.abs()?.mean_all()
}

/// Binary cross-entropy of a logit, averaged over the positions where `mask` is 1.
///
/// Computed as max(x, 0) - x y + ln(1 + exp(-|x|)), which cannot overflow.
///
/// # Shapes
/// - `logit`, `target` (0 or 1), `mask`: (B, T)
pub fn voicing_cross_entropy(logit: &Tensor, target: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let tail = (logit.abs()?.neg()?.exp()? + 1.)?.log()?;
    masked_mean(&((crate::ops::relu(logit)? - (logit * target)?)? + tail)?, mask)
}

/// Cross-entropy of the softmax of `logits` with the one right class, averaged over the positions where `mask` is 1.
///
/// # Shapes
/// - `logits`: (B, T, C)
/// - `classes`: (B, T) u32, below C
/// - `mask`: (B, T)
pub fn masked_cross_entropy(logits: &Tensor, classes: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let log_probabilities = candle_nn::ops::log_softmax(logits, 2)?;
    let right = log_probabilities.gather(&classes.unsqueeze(2)?, 2)?.squeeze(2)?;
    masked_mean(&right.neg()?, mask)
}

/// The generator's side of the least-squares GAN (Mao et al. 2017): mean of (1 - score)^2.
///
/// # Shapes
/// - `fake_scores`: any
pub fn lsgan_generator(fake_scores: &Tensor) -> Result<Tensor> {
    (fake_scores - 1.)?.sqr()?.mean_all()
}

/// The discriminator's side of the least-squares GAN: mean of (1 - real)^2 plus mean of fake^2.
///
/// # Shapes
/// - `real_scores`, `fake_scores`: any
pub fn lsgan_discriminator(real_scores: &Tensor, fake_scores: &Tensor) -> Result<Tensor> {
    lsgan_generator(real_scores)? + fake_scores.sqr()?.mean_all()?
}

fn masked_mean(values: &Tensor, mask: &Tensor) -> Result<Tensor> {
    (values * mask)?.sum_all()? / mask.sum_all()?.maximum(1.)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn t(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened(), (rows.len(), 3), &Device::Cpu).unwrap()
    }

    fn value(loss: Result<Tensor>) -> f32 {
        loss.unwrap().to_scalar().unwrap()
    }

    #[test]
    fn masked_positions_do_not_count() {
        let (a, b) = (t(&[[1., 2., 9.], [4., 9., 9.]]), t(&[[2., 2., 0.], [6., 0., 0.]]));
        let mask = t(&[[1., 1., 0.], [1., 0., 0.]]);
        assert_eq!(value(masked_l1(&a, &b, &mask)), 1.);
        assert_eq!(value(masked_l1(&a.unsqueeze(2).unwrap(), &b.unsqueeze(2).unwrap(), &mask)), 1.);
        assert_eq!(value(masked_l1(&a, &b, &mask.zeros_like().unwrap())), 0.);
        assert!((value(l1(&a, &b)) - 30. / 6.).abs() < 1e-6);
    }

    #[test]
    fn durations_are_compared_by_symbol_and_by_sentence() {
        let durations = t(&[[3., 5., 0.], [2., 0., 0.]]);
        let mask = t(&[[1., 1., 0.], [1., 0., 0.]]);
        let exact = (&durations + 1.).unwrap().log().unwrap();
        assert!(value(duration_token_l1(&exact, &durations, &mask)) < 1e-6);
        assert!(value(duration_sentence_l1(&exact, &durations, &mask)) < 1e-6);
        // Errors of one symbol that another makes good: the sentence is right, its symbols are not.
        let swapped = (t(&[[5., 3., 0.], [2., 0., 0.]]) + 1.).unwrap().log().unwrap();
        assert!((value(duration_token_l1(&swapped, &durations, &mask)) - 2. * 1.5f32.ln() / 3.).abs() < 1e-6);
        assert!(value(duration_sentence_l1(&swapped, &durations, &mask)) < 1e-6);
        // Two mel frames too many over two symbols in one of two sentences.
        let longer = (t(&[[5., 5., 0.], [2., 0., 0.]]) + 1.).unwrap().log().unwrap();
        assert!((value(duration_sentence_l1(&longer, &durations, &mask)) - 0.5).abs() < 1e-5);
    }

    #[test]
    fn cross_entropy_is_its_definition_and_does_not_overflow() {
        let (logit, target) = (t(&[[0.3, -1.2, 2.]]), t(&[[1., 1., 0.]]));
        let mask = t(&[[1., 1., 1.]]);
        let p = |x: f32| 1. / (1. + (-x).exp());
        let expected = -(p(0.3).ln() + p(-1.2).ln() + (1. - p(2.)).ln()) / 3.;
        assert!((value(voicing_cross_entropy(&logit, &target, &mask)) - expected).abs() < 1e-6);
        let far = t(&[[500., -500., -500.]]);
        assert!((value(voicing_cross_entropy(&far, &target, &mask)) - 500. / 3.).abs() < 1e-3);
    }

    #[test]
    fn the_gradient_of_classes_is_their_probability_less_the_truth() {
        let logits = candle_core::Var::new(&[[[0.5f32, -1.0, 2.0], [0.0, 1.0, 0.0]]], &Device::Cpu).unwrap();
        let classes = Tensor::new(&[[2u32, 1]], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[1f32, 0.]], &Device::Cpu).unwrap();
        let loss = masked_cross_entropy(&logits, &classes, &mask).unwrap();
        let sum: f32 = [0.5f32, -1.0, 2.0].iter().map(|x| x.exp()).sum();
        assert!((loss.to_scalar::<f32>().unwrap() + (2f32.exp() / sum).ln()).abs() < 1e-6);
        let grads = loss.backward().unwrap();
        let grad: Vec<f32> = grads.get(&logits).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let expected = [0.5f32.exp() / sum, (-1f32).exp() / sum, 2f32.exp() / sum - 1., 0., 0., 0.];
        for (found, expected) in grad.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{grad:?}");
        }
    }

    #[test]
    fn least_squares_scores() {
        let (real, fake) = (t(&[[1., 1., 0.]]), t(&[[0., 0., 3.]]));
        assert!((value(lsgan_discriminator(&real, &fake)) - (1. / 3. + 3.)).abs() < 1e-6);
        assert!((value(lsgan_generator(&fake)) - (1. + 1. + 4.) / 3.).abs() < 1e-6);
    }
}
