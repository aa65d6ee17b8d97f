//! Symmetric positive definite systems of equations, by Cholesky's decomposition.

/// A decomposed matrix: the lower triangle whose product with its transpose is the matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky {
    size: usize,
    /// Row by row; only the lower triangle is meant.
    triangle: Vec<f64>,
}

impl Cholesky {
    /// Decomposes a matrix of `size` × `size` numbers, of which the lower triangle is read; `None` if it is not positive
    /// definite.
    pub fn new(size: usize, mut matrix: Vec<f64>) -> Option<Cholesky> {
        for row in 0..size {
            for column in 0..=row {
                let (before, rest) = matrix.split_at_mut(row * size);
                let own = &rest[..size];
                let product =
                    |other: &[f64]| -> f64 { other.iter().zip(own).take(column).map(|(a, b)| a * b).sum() };
                let other = if column == row { own } else { &before[column * size..][..size] };
                let sum = own[column] - product(other);
                rest[column] = if row != column {
                    sum / other[column]
                } else if sum > 0.0 {
                    sum.sqrt()
                } else {
                    return None;
                };
            }
        }
        Some(Cholesky { size, triangle: matrix })
    }

    /// Solves for one right-hand side.
    ///
    /// # Panics
    /// If `right` is not as long as the matrix is wide.
    pub fn solve(&self, mut right: Vec<f64>) -> Vec<f64> {
        let (size, triangle) = (self.size, &self.triangle);
        assert_eq!(right.len(), size, "as many equations as unknowns");
        for row in 0..size {
            let sum: f64 = (0..row).map(|index| triangle[row * size + index] * right[index]).sum();
            right[row] = (right[row] - sum) / triangle[row * size + row];
        }
        for row in (0..size).rev() {
            let sum: f64 = (row + 1..size).map(|index| triangle[index * size + row] * right[index]).sum();
            right[row] = (right[row] - sum) / triangle[row * size + row];
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_equations_are_solved() {
        let decomposed = Cholesky::new(2, vec![4.0, 2.0, 2.0, 3.0]).unwrap();
        let solution = decomposed.solve(vec![8.0, 8.0]);
        assert!((solution[0] - 1.0).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        assert_eq!(Cholesky::new(2, vec![1.0, 2.0, 2.0, 1.0]), None);
        assert_eq!(Cholesky::new(1, vec![f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn the_solution_fulfils_the_equations(
            (size, factor, right) in (1_usize..8).prop_flat_map(|size| {
                let number = -2.0..2.0_f64;
                let vector = prop::collection::vec(number.clone(), size);
                (Just(size), prop::collection::vec(number, size * size), vector)
            })
        ) {
            // A product with its own transpose, and the unit matrix, is positive definite.
            let at = |row: usize, column: usize| -> f64 {
                let product: f64 = (0..size).map(|k| factor[row * size + k] * factor[column * size + k]).sum();
                product + if row == column { 1.0 } else { 0.0 }
            };
            let matrix = (0..size * size).map(|index| at(index / size, index % size)).collect();
            let solution = Cholesky::new(size, matrix).unwrap().solve(right.clone());
            for (row, right) in right.iter().enumerate() {
                let left: f64 = (0..size).map(|column| at(row, column) * solution[column]).sum();
                prop_assert!((left - right).abs() < 1e-9);
            }
        }
    }
}
