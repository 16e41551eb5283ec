//! Training against an adversary: a discriminator that learns beside the nets to tell what they make from what is real, by
//! least squares (Mao et al. 2017).
//!
//! Both sides learn from one batch in one pass: a side's scores reach no weight of the other, and Adam treats every
//! parameter alone, so one step of the optimiser is a step of each.

use candle_core::{Result, Tensor};
use paravox_models::losses;

/// What both sides lose in one step: the generator for being seen through, and the discriminator for its mistakes.
///
/// Each slice holds the discriminator's scores, a tensor for each of its parts: of real things, of made ones that no
/// gradient passes back into, and of the same by a discriminator whose weights no gradient reaches.
pub(super) fn duel(real: &[Tensor], made: &[Tensor], made_blind: &[Tensor]) -> Result<[Tensor; 2]> {
    let fooled = made_blind.iter().map(losses::lsgan_generator);
    let judged = real.iter().zip(made).map(|(real, made)| losses::lsgan_discriminator(real, made));
    Ok([mean(fooled)?, mean(judged)?])
}

/// The mean of scalars.
pub(super) fn mean(losses: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
    Tensor::stack(&losses.collect::<Result<Vec<_>>>()?, 0)?.mean_all()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use paravox_models::config;
    use paravox_models::discriminator::{Discriminator, DiscriminatorConfig};
    use paravox_models::params::Params;

    use super::*;

    #[test]
    fn no_side_changes_the_other() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let mut config: DiscriminatorConfig = config::preset("discriminator-light")?;
        config.layers.iter_mut().for_each(|layer| layer.channels = layer.channels.min(2));
        let params = Params::new(1, &Device::Cpu);
        let net = Discriminator::new(&config, params.builder())?;
        let real = Tensor::rand(0f32, 1f32, (2, 3, 80, 160), &Device::Cpu)?;
        let made = Var::rand(0f32, 1f32, (2, 3, 80, 160), &Device::Cpu)?;
        let scores = net.forward(&made)?;
        let blind = net.detached().forward(&made)?;
        let [fooled, judged] = duel(&[net.forward(&real)?], &[net.forward(&made.detach())?], &[blind])?;

        let grads = fooled.backward()?;
        assert!(grads.get(&made).is_some());
        assert!(params.trainable().iter().all(|(_, var)| grads.get(var).is_none()));
        let grads = judged.backward()?;
        assert!(grads.get(&made).is_none());
        assert!(params.trainable().iter().all(|(_, var)| grads.get(var).is_some()));
        // The blind discriminator says the same.
        let value = |loss: &Tensor| loss.to_scalar::<f32>();
        assert_eq!(value(&fooled)?, value(&losses::lsgan_generator(&scores)?)?);
        Ok(())
    }
}
