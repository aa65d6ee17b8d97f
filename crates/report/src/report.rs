//! A page of pictures: the record, how networks learned, and how good forecasts are. One HTML file that needs nothing
//! else, light or dark as its reader has it.

use std::fmt;

use jiff::tz::Offset;

use forecastd_core::ErrorSum;
use forecastd_core::PROGRAM;
use forecastd_core::Quantity;
use forecastd_core::Slot;
use forecastd_core::{Refit, Split};
use forecastd_record::{Part, Record};

use crate::chart::{Chart, Divider, Escaped, Horizontal, Hue, Mark, Series};
use crate::figures::{Beside, PartFigures};
use crate::scoring::cases::Case;
use crate::scoring::lead_errors::LeadErrors;

/// Colours, light and dark, and what is in a picture.
const CHART_STYLE: &str = include_str!("chart.css");
/// What is around pictures.
const PAGE_STYLE: &str = include_str!("page.css");
/// How much of the record's beginning is shown reading by reading, in seconds.
const BEGINNING_S: i64 = 10 * 86_400;
const DAY_S: i64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const HOURS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];

/// One training of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Which of several networks; empty for the only one.
    pub name: String,
    /// The best epoch, counted from 1.
    pub best_epoch: usize,
    /// Mean training loss of each epoch.
    pub loss: Vec<f64>,
    /// Validation loss after each epoch.
    pub validation_loss: Vec<f64>,
}

/// An experiment with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What its random numbers started from, where there are any.
    pub seed: Option<u64>,
    /// How good it is on the validation part.
    pub score: String,
    /// Its trainings; none of a baseline.
    pub trainings: Vec<Training>,
}

/// The temperatures of one day.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Day {
    /// Its noon, seconds since 1970.
    noon: f64,
    low_c: f64,
    mean_c: f64,
    high_c: f64,
}

/// The record in pictures.
#[derive(Debug, Clone, PartialEq)]
struct Overview {
    file: String,
    facts: String,
    days: Vec<Day>,
    /// The first ten days: seconds since 1970 and °C.
    beginning: Vec<(f64, f64)>,
    /// Where validation and test parts begin, if the record is split.
    parts: Vec<Divider>,
    /// What the model learned from beside the training part.
    refit: Option<Refit>,
}

/// A report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    overview: Option<Overview>,
    model: Option<String>,
    /// What was tried.
    pub experiments: Vec<Experiment>,
    /// How good the model is, by part.
    pub parts: Vec<PartFigures>,
}

impl Report {
    /// A report on a record.
    pub fn new(record: Option<&Record>) -> Report {
        Report { overview: record.map(Overview::of), ..Report::default() }
    }

    /// Says which model the forecasts are of.
    pub fn describe_model(&mut self, model: impl Into<String>) {
        self.model = Some(model.into());
    }

    /// Every picture of the forecasts as an SVG file of its own: its name and its content.
    pub fn pictures(&self) -> Vec<(String, String)> {
        let picture = |part: &str, chart: &Chart| {
            let title = chart.title.to_lowercase().replace(' ', "-");
            Some((format!("{part}-{title}.svg"), chart.file(CHART_STYLE)?))
        };
        let of_part = |part: &PartFigures| -> Vec<(String, String)> {
            let name = part.errors.part.name();
            part.charts().iter().filter_map(|(_, chart)| picture(name, chart)).collect()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Marks where the record's validation and test parts begin, of which `refit` says what the model learned from too.
    pub fn mark_parts(&mut self, record: &Record, split: Split, refit: Option<Refit>) {
        let Some(overview) = &mut self.overview else { return };
        overview.refit = refit;
        let begin = |part: Part| {
            let slots = record.part(split, part);
            let at = record.history().grid().time(slots.start).as_second() as f64;
            Divider { at, label: part.name().to_owned() }
        };
        overview.parts = vec![begin(Part::Validation), begin(Part::Test)];
    }
}

impl Overview {
    fn of(record: &Record) -> Overview {
        let history = record.history();
        let grid = history.grid();
        let seconds = |slot: Slot| grid.time(slot).as_second();
        let temperature = |slot: Slot| f64::from(history.value(slot, Quantity::AirTemperature));
        let rows = record.rows();
        let mut days: Vec<Day> = Vec::new();
        for day in rows.chunk_by(|&a, &b| seconds(a).div_euclid(DAY_S) == seconds(b).div_euclid(DAY_S)) {
            let noon = (seconds(day[0]).div_euclid(DAY_S) * DAY_S + DAY_S / 2) as f64;
            if let Some(before) = days.last().filter(|before| noon - before.noon > 1.5 * DAY_S as f64) {
                let none = f64::NAN;
                days.push(Day { noon: before.noon + 1.0, low_c: none, mean_c: none, high_c: none });
            }
            let values = || day.iter().map(|&slot| temperature(slot));
            days.push(Day {
                noon,
                low_c: values().fold(f64::INFINITY, f64::min),
                mean_c: values().sum::<f64>() / day.len() as f64,
                high_c: values().fold(f64::NEG_INFINITY, f64::max),
            });
        }
        let first = rows.first().copied().unwrap_or(0);
        let shown = rows.iter().take_while(|&&slot| seconds(slot) - seconds(first) <= BEGINNING_S);
        let facts = record.facts();
        let (missing, _) = record.holes(0);
        Overview {
            file: facts.file.clone(),
            facts: format!(
                "{} readings, {} to {}, one every {:.0} min, {:.1} % missing",
                facts.readings,
                Offset::UTC.to_datetime(facts.first).date(),
                Offset::UTC.to_datetime(facts.last).date(),
                record.cadence_s() / 60.0,
                100.0 * missing,
            ),
            beginning: shown.map(|&slot| (seconds(slot) as f64, temperature(slot))).collect(),
            days,
            parts: Vec::new(),
            refit: None,
        }
    }

    fn charts(&self) -> [(String, Chart); 2] {
        let line = |name: &str, mark: Mark, points: Vec<(f64, f64)>| Series {
            name: name.to_owned(),
            hue: Hue::Ink,
            mark,
            points,
        };
        let tops = self.days.iter().map(|day| day.high_c).collect();
        let bottoms = self.days.iter().map(|day| (day.noon, day.low_c)).collect();
        let means = self.days.iter().map(|day| (day.noon, day.mean_c)).collect();
        let chart = |title: &str, series, dividers| Chart {
            title: title.to_owned(),
            horizontal: Horizontal::Time,
            vertical: "air temperature, °C",
            from_zero: false,
            series,
            dividers,
        };
        let whole = vec![
            line("lowest to highest of a day", Mark::Band(tops), bottoms),
            line("mean of the day", Mark::Line, means),
        ];
        let beginning = vec![line("reading", Mark::Line, self.beginning.clone())];
        let parts = if self.parts.is_empty() {
            String::new()
        } else {
            let refit = match self.refit {
                None => "",
                Some(Refit::Validation) => {
                    ", but the model once more from all that is left of \u{201c}test\u{201d}"
                }
                Some(Refit::Whole) => ", but the model once more from all of it",
            };
            format!(" What networks learn from is left of \u{201c}validation\u{201d}{refit}.")
        };
        [
            (
                format!("The whole record, day by day (UTC).{parts}"),
                chart("Temperature over the whole record", whole, self.parts.clone()),
            ),
            (
                "The first ten days, reading by reading (UTC).".to_owned(),
                chart("Temperature over the first ten days", beginning, Vec::new()),
            ),
        ]
    }
}

impl Training {
    fn chart(&self, of: &str) -> Chart {
        let epochs = |losses: &[f64]| {
            losses.iter().enumerate().map(|(index, &loss)| ((index + 1) as f64, loss)).collect()
        };
        Chart {
            title: format!("Loss of {of}"),
            horizontal: Horizontal::Numbers("epoch"),
            vertical: "loss",
            from_zero: false,
            series: vec![
                Series {
                    name: "training".to_owned(),
                    hue: Hue::Orange,
                    mark: Mark::Line,
                    points: epochs(&self.loss),
                },
                Series {
                    name: "validation".to_owned(),
                    hue: Hue::Blue,
                    mark: Mark::Line,
                    points: epochs(&self.validation_loss),
                },
            ],
            dividers: vec![Divider { at: self.best_epoch as f64, label: "best".to_owned() }],
        }
    }
}

impl PartFigures {
    fn charts(&self) -> Vec<(String, Chart)> {
        let lead_h = self.lead_h;
        let mut charts = vec![
            (
                "Mean absolute error by lead, beside the forecasts that cost nothing.".to_owned(),
                self.by_lead(),
            ),
            (
                format!(
                    "Two weeks of forecasts {lead_h} h ahead, the first with as many forecasts as any, each at the time it was for (UTC)."
                ),
                self.weeks(),
            ),
            (
                format!(
                    "Mean absolute error {lead_h} h ahead by the hour that is forecast, mean solar time."
                ),
                beside("by hour", "hour of day", &HOURS, &self.by_hour),
            ),
            (
                format!("Mean absolute error {lead_h} h ahead by the month that is forecast."),
                beside("by month", "month", &MONTHS, &self.by_month),
            ),
        ];
        charts.extend(self.quantiles.filter(|_| !self.calibration.is_empty()).map(|quantiles| {
            let text = "How often what came was below each quantile; dashed: how often it should be.";
            (text.to_owned(), self.calibration_chart(quantiles))
        }));
        charts
    }

    fn by_lead(&self) -> Chart {
        let series = |name: &str, hue: Hue, mark: Mark, of: fn(&LeadErrors) -> ErrorSum| {
            let point = |errors: &LeadErrors| (f64::from(errors.lead_h), of(errors).mae());
            Series { name: name.to_owned(), hue, mark, points: self.errors.leads.iter().map(point).collect() }
        };
        let mut all = vec![
            series("climatology", Hue::Green, Mark::Line, |errors| errors.climatology),
            series("same time yesterday", Hue::Violet, Mark::Line, |errors| errors.yesterday),
            series("persistence (same as now)", Hue::Orange, Mark::Line, |errors| errors.persistence),
            series("model", Hue::Blue, Mark::Line, |errors| errors.model),
        ];
        all.retain(|series| series.points.iter().any(|(_, mae)| mae.is_finite()));
        if self.errors.leads.len() == 1 {
            all.iter_mut().for_each(|series| series.mark = Mark::Columns);
        }
        Chart {
            title: "Mean absolute error by lead".to_owned(),
            horizontal: match self.errors.leads.len() {
                1 => Horizontal::Names(vec![""]),
                _ => Horizontal::Numbers("lead, hours"),
            },
            vertical: "mean absolute error, °C",
            from_zero: true,
            series: match self.errors.leads.len() {
                1 => all.into_iter().map(at_zero).collect(),
                _ => all,
            },
            dividers: Vec::new(),
        }
    }

    fn weeks(&self) -> Chart {
        // A hole in the record is one in the lines.
        let usual_s = self.weeks.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
        let mut shown: Vec<(f64, Option<&Case>)> = Vec::new();
        for (time, case) in &self.weeks {
            if let Some(&(before, _)) = shown.last().filter(|(before, _)| time - before > 3.5 * usual_s) {
                shown.push((before + 1.0, None));
            }
            shown.push((*time, Some(case)));
        }
        let points = |of: &dyn Fn(&Case) -> f64| -> Vec<(f64, f64)> {
            shown.iter().map(|(time, case)| (*time, case.map_or(f64::NAN, of))).collect()
        };
        let low = points(&|case| case.interval_c.map_or(f64::NAN, |(low_c, _)| low_c));
        let high = points(&|case| case.interval_c.map_or(f64::NAN, |(_, high_c)| high_c));
        let mut series = Vec::new();
        if let Some([first, _, last]) = self.quantiles {
            series.push(Series {
                name: format!("{:.0} % interval", 100.0 * (last - first)),
                hue: Hue::Blue,
                mark: Mark::Band(high.into_iter().map(|(_, high_c)| high_c).collect()),
                points: low,
            });
        }
        let line = |name: &str, hue, mark, of: &dyn Fn(&Case) -> f64| Series {
            name: name.to_owned(),
            hue,
            mark,
            points: points(of),
        };
        series.push(line("persistence", Hue::Orange, Mark::Dashed, &|case| case.persistence_c));
        series.push(line("model", Hue::Blue, Mark::Line, &|case| case.model_c));
        series.push(line("observed", Hue::Ink, Mark::Line, &|case| case.observed_c));
        Chart {
            title: "Forecasts beside what came".to_owned(),
            horizontal: Horizontal::Time,
            vertical: "air temperature, °C",
            from_zero: false,
            series,
            dividers: Vec::new(),
        }
    }

    fn calibration_chart(&self, quantiles: [f32; 3]) -> Chart {
        let leads = || self.calibration.iter().map(|calibration| f64::from(calibration.lead_h));
        let hues = [Hue::Violet, Hue::Blue, Hue::Orange];
        let mut series = Vec::new();
        for (index, (quantile, hue)) in quantiles.into_iter().zip(hues).enumerate() {
            let nominal = 100.0 * f64::from(quantile);
            let below = self.calibration.iter().map(|calibration| 100.0 * calibration.below[index]);
            series.push(Series {
                name: String::new(),
                hue,
                mark: Mark::Dashed,
                points: leads().map(|lead| (lead, nominal)).collect(),
            });
            series.push(Series {
                name: format!("below the quantile of {nominal:.0} %"),
                hue,
                mark: Mark::Line,
                points: leads().zip(below).collect(),
            });
        }
        Chart {
            title: "Calibration of the quantiles".to_owned(),
            horizontal: Horizontal::Numbers("lead, hours"),
            vertical: "share of outcomes, %",
            from_zero: true,
            series,
            dividers: Vec::new(),
        }
    }
}

/// The only number of a series, as the first column.
fn at_zero(mut series: Series) -> Series {
    series.points.iter_mut().for_each(|point| point.0 = 0.0);
    series
}

/// Columns of the model and of persistence side by side.
fn beside(title: &str, unit: &'static str, names: &[&'static str], sums: &[Beside]) -> Chart {
    let points = |of: fn(&Beside) -> &ErrorSum| {
        sums.iter().enumerate().map(|(index, beside)| (index as f64, of(beside).mae())).collect()
    };
    let columns =
        |name: &str, hue, points| Series { name: name.to_owned(), hue, mark: Mark::Columns, points };
    Chart {
        title: format!("Mean absolute error {title}"),
        horizontal: Horizontal::Names(names.to_vec()),
        vertical: match unit {
            "month" => "mean absolute error, °C, by month",
            _ => "mean absolute error, °C, by hour",
        },
        from_zero: true,
        series: vec![
            columns("persistence", Hue::Orange, points(|beside| &beside.persistence)),
            columns("model", Hue::Blue, points(|beside| &beside.model)),
        ],
        dividers: Vec::new(),
    }
}

fn figure(formatter: &mut fmt::Formatter<'_>, caption: &str, chart: &Chart) -> fmt::Result {
    writeln!(formatter, "<figure>{chart}<figcaption>{}</figcaption></figure>", Escaped(caption))
}

/// The page.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match (&self.model, &self.overview) {
            (Some(model), _) => model.clone(),
            (None, Some(overview)) => overview.file.clone(),
            (None, None) => "report".to_owned(),
        };
        let title = Escaped(&title);
        writeln!(formatter, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(formatter, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(formatter, "<title>{title} \u{2013} forecastd</title>")?;
        writeln!(formatter, "<style>\n{CHART_STYLE}{PAGE_STYLE}</style>\n</head>\n<body>\n<main>")?;
        writeln!(formatter, "<h1>{title}</h1>")?;
        if let Some(overview) = &self.overview {
            let (file, facts) = (Escaped(&overview.file), Escaped(&overview.facts));
            writeln!(formatter, "<p class=\"about\"><b>{file}</b>: {facts}</p>")?;
        }
        for part in &self.parts {
            self.part(formatter, part)?;
        }
        if !self.experiments.is_empty() {
            self.experiments(formatter)?;
        }
        if let Some(overview) = &self.overview {
            writeln!(formatter, "<h2>The record</h2>")?;
            for (caption, chart) in overview.charts() {
                figure(formatter, &caption, &chart)?;
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        writeln!(formatter, "<footer>Made by {PROGRAM} {version}.</footer>\n</main>\n</body>\n</html>")
    }
}

impl Report {
    fn part(&self, formatter: &mut fmt::Formatter<'_>, part: &PartFigures) -> fmt::Result {
        let errors = &part.errors;
        let (first, last) = errors.span;
        let date = |time: jiff::Timestamp| Offset::UTC.to_datetime(time).date();
        writeln!(formatter, "<h2>Forecasts of the {} part</h2>", errors.part.name())?;
        writeln!(
            formatter,
            "<p class=\"about\">{} forecasts, {} to {}{}</p>",
            errors.origins,
            date(first),
            date(last),
            if errors.before_refit { ", by the model before it learned from this part too" } else { "" },
        )?;
        if let Some(longest) = errors.leads.last() {
            let tile = |formatter: &mut fmt::Formatter<'_>, value: String, what: &str| {
                writeln!(formatter, "<div><b>{value}</b>{what}</div>")
            };
            let lead_h = part.lead_h;
            writeln!(formatter, "<div class=\"tiles\">")?;
            tile(
                formatter,
                format!("{:.3} °C", longest.model.mae()),
                &format!("mean absolute error {lead_h} h ahead"),
            )?;
            tile(
                formatter,
                format!("{:.3} °C", longest.persistence.mae()),
                "the same of \u{201c}same as now\u{201d}",
            )?;
            let skill = 100.0 * longest.model.skill(&longest.persistence);
            tile(formatter, format!("{skill:.1} %").replace('-', "\u{2212}"), "less than that")?;
            let bias = format!("{:+.2} °C", longest.model.bias()).replace('-', "\u{2212}");
            tile(formatter, bias, "mean error")?;
            if let Some(share) = longest.coverage.share() {
                tile(formatter, format!("{:.1} %", 100.0 * share), "of outcomes within the interval")?;
            }
            writeln!(formatter, "</div>")?;
        }
        for (caption, chart) in part.charts() {
            figure(formatter, &caption, &chart)?;
        }
        lead_table(formatter, part)
    }

    fn experiments(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "<h2>Experiments</h2>")?;
        writeln!(
            formatter,
            "<div class=\"wide\"><table><thead><tr><th>experiment<th>seed<th>validation part<th>best epoch</tr></thead><tbody>"
        )?;
        for experiment in &self.experiments {
            let epochs: Vec<String> = experiment
                .trainings
                .iter()
                .map(|training| format!("{} of {}", training.best_epoch, training.loss.len()))
                .collect();
            let seed = experiment.seed.map_or("\u{2013}".to_owned(), |seed| seed.to_string());
            writeln!(
                formatter,
                "<tr><td>{}<td>{seed}<td>{}<td>{}</tr>",
                Escaped(&experiment.name),
                Escaped(&experiment.score),
                if epochs.is_empty() { "\u{2013}".to_owned() } else { epochs.join(", ") },
            )?;
        }
        writeln!(formatter, "</tbody></table></div>")?;
        for experiment in &self.experiments {
            for training in &experiment.trainings {
                let mut of = experiment.name.clone();
                if !training.name.is_empty() {
                    of = format!("{of}, {} branch", training.name);
                }
                let seed = experiment.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
                let caption = format!("Loss of {of} by epoch{seed}.");
                figure(formatter, &caption, &training.chart(&of))?;
            }
        }
        Ok(())
    }
}

fn lead_table(formatter: &mut fmt::Formatter<'_>, part: &PartFigures) -> fmt::Result {
    writeln!(formatter, "<details><summary>Every lead as numbers</summary><div class=\"wide\"><table>")?;
    writeln!(
        formatter,
        "<thead><tr><th>lead<th>cases<th>model<th>persistence<th>yesterday<th>climatology<th>skill<th>within</tr></thead><tbody>"
    )?;
    let number = |value: f64, decimals: usize| {
        if value.is_finite() {
            format!("{value:.decimals$}").replace('-', "\u{2212}")
        } else {
            "\u{2013}".to_owned()
        }
    };
    for errors in &part.errors.leads {
        writeln!(
            formatter,
            "<tr><td>{} h<td>{}<td>{}<td>{}<td>{}<td>{}<td>{} %<td>{} %</tr>",
            errors.lead_h,
            errors.model.count(),
            number(errors.model.mae(), 3),
            number(errors.persistence.mae(), 3),
            number(errors.yesterday.mae(), 3),
            number(errors.climatology.mae(), 3),
            number(100.0 * errors.model.skill(&errors.persistence), 1),
            number(errors.coverage.share().map_or(f64::NAN, |share| 100.0 * share), 1),
        )?;
    }
    writeln!(formatter, "</tbody></table></div></details>")
}
