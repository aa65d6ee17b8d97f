//! All pictures of the forecasts of one part, with what stands below each.

use crate::chart::Chart;
use crate::figures::PartFigures;

impl PartFigures {
    /// What stands below each picture, and the picture.
    pub(crate) fn charts(&self) -> Vec<(String, Chart)> {
        let lead_h = self.lead_h;
        let mut charts = vec![
            ("Mean absolute error by lead, beside the reference forecasts.".to_owned(), self.leads()),
            (
                format!(
                    "Two weeks of forecasts {lead_h} h ahead, the first with as many forecasts as any, each at the time it was for (UTC)."
                ),
                self.two_weeks(),
            ),
            (
                format!(
                    "Mean absolute error {lead_h} h ahead by the hour that is forecast, mean solar time."
                ),
                self.hours(),
            ),
            (format!("Mean absolute error {lead_h} h ahead by the month that is forecast."), self.months()),
        ];
        charts.extend(self.quantiles.filter(|_| !self.calibration.is_empty()).map(|quantiles| {
            let text = "How often the observation was below each quantile; dashed: how often it should be.";
            (text.to_owned(), self.reliability(quantiles))
        }));
        charts
    }
}
