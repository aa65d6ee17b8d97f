//! All pictures of the forecasts of one part, with what stands below each.

use jiff::tz::Offset;

use crate::chart::Chart;
use crate::figures::PartFigures;

impl PartFigures {
    /// What stands below each picture, and the picture.
    pub(crate) fn charts(&self) -> Vec<(String, Chart)> {
        let lead_h = self.lead_h;
        let mut charts = Vec::new();
        charts.extend(self.fan.as_ref().map(|fan| {
            let issued = Offset::UTC.to_datetime(fan.issued_at).strftime("%-d %B %Y, %H:%M");
            let text = format!(
                "A usual forecast, issued on {issued} UTC: of {} forecasts as many were better as were worse.",
                self.errors.origins
            );
            (text, fan.chart())
        }));
        charts.push((
            "Mean absolute error by lead, beside the reference forecasts. Lower is better.".to_owned(),
            self.leads(),
        ));
        charts.extend(self.quantiles.filter(|_| !self.calibration.is_empty()).map(|quantiles| {
            let text = "Calibration: the share of observations below each quantile, less what it should be. On zero is right; \
                        within the grey it may be chance, were each day one draw. Where the lower line is above zero and the \
                        upper below, the interval is too narrow.";
            (text.to_owned(), self.deviations(quantiles))
        }));
        charts.push((
            format!(
                "Error saved {lead_h} h ahead, by the hour that is forecast (mean solar time). Below zero \u{201c}same as \
                 now\u{201d} is better."
            ),
            self.hours(),
        ));
        charts.push((format!("Error saved {lead_h} h ahead, by the month that is forecast."), self.months()));
        charts.push((
            format!(
                "Two weeks of forecasts {lead_h} h ahead, the first with as many forecasts as any, each at the time it was for (UTC)."
            ),
            self.two_weeks(),
        ));
        charts
    }
}
