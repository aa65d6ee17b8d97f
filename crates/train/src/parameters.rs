//! The parameters of a network as plain numbers, in the order in which its module visits them.
//!
//! Optimisers, averages of weights and checkpoints work on these, so that the whole state of a training is a few
//! vectors of numbers that can be written down and taken up again bit for bit.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// The parameters of `model`.
pub fn values<M: Module>(model: &M) -> Vec<f32> {
    struct Reader(Vec<f32>);
    impl ModuleVisitor for Reader {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(numbers(param.val()));
        }
    }
    let mut reader = Reader(Vec::new());
    model.visit(&mut reader);
    reader.0
}

/// `model` with the given parameters, ready for gradients.
///
/// # Panics
/// If `values` has not as many numbers as the model has parameters.
pub fn with_values<M: Module>(model: M, values: &[f32]) -> M {
    struct Writer<'a>(&'a [f32]);
    impl ModuleMapper for Writer<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let shape = tensor.shape();
                let (own, rest) = self.0.split_at(shape.num_elements());
                self.0 = rest;
                let data = TensorData::new(own.to_vec(), shape);
                Tensor::from_data(data, &tensor.device()).set_require_grad(tensor.is_require_grad())
            })
        }
    }
    let mut writer = Writer(values);
    let model = model.map(&mut writer);
    assert!(writer.0.is_empty(), "{} numbers too many for the model", writer.0.len());
    model
}

/// The gradients of the parameters of `model`; zero for one that the loss does not depend on.
pub fn gradients<M: Module>(model: &M, gradients: &mut Gradients) -> Vec<f32> {
    struct Collector<'a> {
        gradients: &'a mut Gradients,
        collected: Vec<f32>,
    }
    impl ModuleVisitor for Collector<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            match value.grad_remove(self.gradients) {
                Some(gradient) => self.collected.extend(numbers(gradient)),
                None => {
                    let length = self.collected.len() + value.shape().num_elements();
                    self.collected.resize(length, 0.0);
                }
            }
        }
    }
    let mut collector = Collector { gradients, collected: Vec::new() };
    model.visit(&mut collector);
    collector.collected
}

/// The numbers of a tensor, row by row.
///
/// # Panics
/// If the tensor is not of single precision, which nothing here makes.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("tensors of the trainer are single precision")
}
