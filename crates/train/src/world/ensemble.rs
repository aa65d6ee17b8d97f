//! Networks that were trained apart, as one.

use crate::dense::{Dense, DenseNumbers};

use super::network::{Network, OUTPUTS};

/// The mean of networks as one network: what its last layer gives, before steps are made of it, is the mean of what theirs
/// give. Without auxiliary outputs.
pub(crate) fn joined(members: &[Network]) -> Network {
    let share = 1.0 / members.len() as f32;
    let kept: Vec<usize> = (0..OUTPUTS).collect();
    let mut output =
        DenseNumbers { inputs: 0, outputs: OUTPUTS, weight: Vec::new(), bias: vec![0.0; OUTPUTS] };
    for own in members.iter().map(|member| member.output.numbers().select_outputs(&kept)) {
        output.inputs += own.inputs;
        output.weight.extend(own.weight.iter().map(|weight| weight * share));
        output.bias.iter_mut().zip(&own.bias).for_each(|(sum, bias)| *sum += bias * share);
    }
    let device = members[0].output.weight.val().device();
    Network {
        towers: members.iter().flat_map(|member| member.towers.clone()).collect(),
        output: Dense::from_numbers(output, &device),
        dropout: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::numbers;
    use crate::world::network::tests::members;
    use crate::world::network::{MEDIAN, QUANTILES};
    use crate::world::window;
    use burn::tensor::{Device, Tensor, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg64;

    #[test]
    fn joined_networks_forecast_the_mean_of_their_medians() {
        let mut generator = Pcg64::seed_from_u64(6);
        let device = Device::flex();
        let members = members(&mut generator);
        let rows: Vec<f32> = (0..3 * window::count()).map(|_| generator.random_range(-2.0..2.0)).collect();
        let input = Tensor::<2>::from_data(TensorData::new(rows, [3, window::count()]), &device);
        let joined = numbers(joined(&members).forward(input.clone(), None));
        let each: Vec<Vec<f32>> =
            members.iter().map(|member| numbers(member.forward(input.clone(), None))).collect();
        for (index, joined) in joined.iter().enumerate().skip(MEDIAN).step_by(QUANTILES.len()) {
            let mean = (each[0][index] + each[1][index]) / 2.0;
            assert!((joined - mean).abs() < 1e-5, "{index}: {joined} and {mean}");
        }
    }
}
