//! Scores: how wrong forecasts were.

/// Sums over the errors of forecasts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ErrorSum {
    count: u64,
    error: f64,
    absolute: f64,
    square: f64,
}

impl ErrorSum {
    /// Adds a forecast of `forecast_c` where `observed_c` came.
    pub fn add(&mut self, forecast_c: f64, observed_c: f64) {
        let error = forecast_c - observed_c;
        self.count += 1;
        self.error += error;
        self.absolute += error.abs();
        self.square += error * error;
    }

    /// How many forecasts were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean absolute error, °C; NaN without forecasts.
    pub fn mae(&self) -> f64 {
        self.absolute / self.count as f64
    }

    /// Root mean square error, °C; NaN without forecasts.
    pub fn rmse(&self) -> f64 {
        (self.square / self.count as f64).sqrt()
    }

    /// Mean error, °C; positive when forecasts were too warm.
    pub fn bias(&self) -> f64 {
        self.error / self.count as f64
    }

    /// Skill against a reference: 1 − MAE / MAE of the reference; 1 is perfect, 0 is no better.
    pub fn skill(&self, reference: &ErrorSum) -> f64 {
        1.0 - self.mae() / reference.mae()
    }
}

/// The empirical coverage of an interval: how often the observation lay within it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coverage {
    within: u64,
    count: u64,
}

impl Coverage {
    /// Adds an interval from `low_c` to `high_c` where `observed_c` came.
    pub fn add(&mut self, low_c: f64, high_c: f64, observed_c: f64) {
        self.count += 1;
        self.within += u64::from((low_c..=high_c).contains(&observed_c));
    }

    /// The share that lay within; `None` without intervals.
    pub fn share(&self) -> Option<f64> {
        (self.count > 0).then(|| self.within as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_three_forecasts() {
        let (mut model, mut reference) = (ErrorSum::default(), ErrorSum::default());
        for (forecast, observed) in [(1.0, 0.0), (2.0, 4.0), (5.0, 5.0)] {
            model.add(forecast, observed);
            reference.add(forecast + 2.0, observed);
        }
        assert_eq!(model.count(), 3);
        assert_eq!(model.mae(), 1.0);
        assert_eq!(model.bias(), -1.0 / 3.0);
        assert!((model.rmse() - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(model.skill(&reference), 1.0 - 3.0 / 5.0);
    }

    #[test]
    fn an_interval_covers_its_ends() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.share(), None);
        for observed in [0.0, 1.0, 2.0, 2.1] {
            coverage.add(0.0, 2.0, observed);
        }
        assert_eq!(coverage.share(), Some(0.75));
    }
}
