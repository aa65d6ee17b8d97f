//! What registers metrics by their names.

use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Registers with a fresh registry, where no name can be taken twice.
pub(super) struct Maker<'a>(pub(super) &'a Registry);

impl Maker<'_> {
    pub(super) fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> C {
        let collector = made.expect("a metric's name and labels are valid");
        self.0.register(Box::new(collector.clone())).expect("a metric's name is used once");
        collector
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(format!("forecastd_{name}"), help))
    }

    pub(super) fn counters(&self, name: &str, help: &str, label: &str, values: &[&str]) -> IntCounterVec {
        let counters =
            self.register(IntCounterVec::new(Opts::new(format!("forecastd_{name}"), help), &[label]));
        for value in values {
            counters.with_label_values(&[*value]);
        }
        counters
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(format!("forecastd_{name}"), help))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(format!("forecastd_{name}"), help), labels))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(format!("forecastd_{name}"), help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options))
    }
}
