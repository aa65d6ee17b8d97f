//! A report as one HTML file that needs nothing else, light or dark as its reader has it.

use std::fmt;

use jiff::tz::Offset;

use forecastd_core::PROGRAM;
use forecastd_record::Part;

use crate::chart::{CHART_STYLE, Chart, Escaped};
use crate::figures::PartFigures;
use crate::report::Report;
use crate::verdict::Verdict;

/// What is around pictures.
const PAGE_STYLE: &str = include_str!("page.css");

fn figure(formatter: &mut fmt::Formatter<'_>, caption: &str, chart: &Chart) -> fmt::Result {
    writeln!(formatter, "<figure>{chart}<figcaption>{}</figcaption></figure>", Escaped(caption))
}

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
        self.verdict(formatter)?;
        for part in self.parts_by_weight() {
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
    /// The parts, the one that says most first: the test part, which the model has not been chosen by.
    fn parts_by_weight(&self) -> Vec<&PartFigures> {
        let mut parts: Vec<&PartFigures> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.errors.part == Part::Validation);
        parts
    }

    /// In words, what there is to know.
    fn verdict(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_part = self.parts_by_weight().first().and_then(|part| Verdict::new(part));
        let of_run = || {
            let nothing =
                "Nothing was trained that could become a model of a station; the table has what was tried.";
            let tried = (!self.experiments.is_empty()).then(|| (nothing.to_owned(), false));
            let (headline, is_good) = self.conclusion.clone().or(tried)?;
            Some(Verdict { headline, is_good, sentences: Vec::new() })
        };
        let Some(verdict) = of_part.or_else(of_run) else { return Ok(()) };
        // A number and its unit stay together.
        let joined =
            |text: &str| text.replace(" °C", "\u{a0}°C").replace(" %", "\u{a0}%").replace(" h.", "\u{a0}h.");
        let class = if verdict.is_good { "verdict good" } else { "verdict poor" };
        writeln!(formatter, "<section class=\"{class}\">\n<p><b>{}</b></p>", joined(&verdict.headline))?;
        if !verdict.sentences.is_empty() {
            let items = verdict.sentences.iter().map(|sentence| format!("<li>{}</li>\n", joined(sentence)));
            writeln!(formatter, "<ul>\n{}</ul>", items.collect::<String>())?;
        }
        writeln!(formatter, "</section>")
    }

    fn part(&self, formatter: &mut fmt::Formatter<'_>, part: &PartFigures) -> fmt::Result {
        let errors = &part.errors;
        let (first, last) = errors.span;
        let date = |time: jiff::Timestamp| Offset::UTC.to_datetime(time).date();
        let of = match errors.part {
            Part::Whole => "whole record".to_owned(),
            part => format!("{} part", part.name()),
        };
        writeln!(formatter, "<h2>Forecasts of the {of}</h2>")?;
        writeln!(
            formatter,
            "<p class=\"about\">{} forecasts, {} to {}{}</p>",
            errors.origins,
            date(first),
            date(last),
            if errors.before_refit { ", by the model before it was trained on this part too" } else { "" },
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
            tile(formatter, format!("{skill:.1} %").replace('-', "\u{2212}"), "of that error saved")?;
            let bias = format!("{:+.2} °C", longest.model.bias()).replace('-', "\u{2212}");
            tile(formatter, bias, "bias (mean error)")?;
            if let Some(share) = longest.coverage.share() {
                tile(formatter, format!("{:.1} %", 100.0 * share), "of observations within the interval")?;
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
        "<thead><tr><th>lead<th>cases<th>model<th>same as now<th>yesterday<th>climatology<th>saved<th>within</tr></thead><tbody>"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;

    #[test]
    fn without_a_part_to_evaluate_on_the_page_begins_with_what_came_of_the_run() {
        let tried = Experiment {
            name: "yesterday".to_owned(),
            seed: None,
            score: "2.6".to_owned(),
            trainings: Vec::new(),
        };
        let mut report = Report { experiments: vec![tried], ..Report::default() };
        assert!(report.to_string().contains("<section class=\"verdict poor\">\n<p><b>Nothing was trained"));
        report.conclude("2.10 °C", true);
        let page = report.to_string();
        assert!(
            page.contains("<section class=\"verdict good\">\n<p><b>2.10\u{a0}°C</b></p>\n</section>"),
            "{page}"
        );
        assert!(!Report::default().to_string().contains("class=\"verdict"), "nothing was tried");
    }
}
