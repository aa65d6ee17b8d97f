//! How it is printed how the experts of a station did on a record.

use std::fmt::{self, Write as _};
use std::io::Write;

use forecastd_core::{Coverage, ErrorSum, REFERENCES};
use forecastd_report::finite;
use serde::Serialize;

use super::super::EvaluationFormat;
use super::{MONTH_H, Online, OnlineLead, YEAR_H};

/// Leads that the table shows, hours.
const SHOWN: [u32; 7] = [1, 3, 6, 9, 12, 18, 24];

/// What the combination is called among the experts.
const COMBINATION: &str = "combination";

/// An expert, a model as it stands in its file, or the combination at one lead, as printed in CSV and JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    lead_h: u32,
    expert: &'a str,
    forecasts: u64,
    mae_c: Option<f64>,
    rmse_c: Option<f64>,
    bias_c: Option<f64>,
    /// How much the expert counts at the end; absent for what is no expert then.
    weight: Option<f64>,
    /// How often the observation lay within the interval, where there is one.
    coverage: Option<f64>,
}

/// A lead, as printed in JSON.
#[derive(Debug, Serialize)]
struct Lead<'a> {
    lead_h: u32,
    experts: Vec<Line<'a>>,
    regret_c: Option<f64>,
    /// The lowest and the highest coverage of the combination's interval over any 30 days.
    rolling_coverage: Option<(f64, f64)>,
    /// The same over any 365 days.
    rolling_coverage_365d: Option<(f64, f64)>,
}

impl Online {
    /// Prints the scores.
    ///
    /// # Errors
    /// When `output` cannot be written to.
    pub fn write(&self, format: EvaluationFormat, output: &mut dyn Write) -> std::io::Result<()> {
        match format {
            EvaluationFormat::Table => write!(output, "{self}"),
            EvaluationFormat::Csv => {
                let mut writer = csv::Writer::from_writer(output);
                let mut lines = self.leads.iter().flat_map(|lead| self.lines(lead));
                lines.try_for_each(|line| writer.serialize(line)).map_err(std::io::Error::other)?;
                writer.flush()
            }
            EvaluationFormat::Json => {
                serde_json::to_writer_pretty(&mut *output, &self.document())?;
                writeln!(output)
            }
        }
    }

    fn document(&self) -> serde_json::Value {
        let leads = self.leads.iter().map(|lead| Lead {
            lead_h: lead.lead_h,
            experts: self.lines(lead),
            regret_c: finite(lead.regret_c()),
            rolling_coverage: lead.rolling_coverage(MONTH_H, self.slots_per_hour),
            rolling_coverage_365d: lead.rolling_coverage(YEAR_H, self.slots_per_hour),
        });
        let standings = self.standings.iter().map(|standing| {
            let leads = standing.leads.iter().map(
                |lead| serde_json::json!({"lead_h": lead.lead_h, "weight": lead.weight, "mae_c": lead.mae_c}),
            );
            serde_json::json!({
                "expert": standing.name,
                "asleep": standing.is_asleep,
                "leads": leads.collect::<Vec<_>>(),
            })
        });
        serde_json::json!({
            "models": self.models,
            "file": self.file,
            "notes": self.notes,
            "forecasts": self.forecasts,
            "leads": leads.collect::<Vec<_>>(),
            "standings": standings.collect::<Vec<_>>(),
        })
    }

    /// The reference experts, the models and the combination at a lead.
    fn lines<'a>(&'a self, lead: &OnlineLead) -> Vec<Line<'a>> {
        let line = |expert: &'a str, errors: &ErrorSum, coverage: Option<&Coverage>| Line {
            lead_h: lead.lead_h,
            expert,
            forecasts: errors.count(),
            mae_c: finite(errors.mae()),
            rmse_c: finite(errors.rmse()),
            bias_c: finite(errors.bias()),
            weight: self.weight(expert, lead.lead_h),
            coverage: coverage.and_then(Coverage::share),
        };
        let references = REFERENCES.into_iter().zip(&lead.references);
        let models =
            self.models.iter().zip(&lead.models).enumerate().map(|(index, (name, errors))| {
                line(name, errors, (index == 0).then_some(&lead.model_coverage))
            });
        let mut lines: Vec<Line<'a>> =
            references.map(|(name, errors)| line(name, errors, None)).chain(models).collect();
        lines.push(line(COMBINATION, &lead.combination, Some(&lead.coverage)));
        lines
    }

    /// How much an expert counts at the end. A model is an expert by the name of its file, which begins with its own.
    fn weight(&self, expert: &str, lead_h: u32) -> Option<f64> {
        let is_it =
            |name: &str| name == expert || name.rsplit_once('@').is_some_and(|(own, _)| own == expert);
        let standing = self.standings.iter().find(|standing| is_it(&standing.name))?;
        let lead = standing.leads.iter().find(|lead| lead.lead_h == lead_h)?;
        Some(f64::from(lead.weight))
    }
}

/// A row of numbers by lead, and their mean over all leads that were scored, with so many decimals.
fn row(
    formatter: &mut fmt::Formatter<'_>,
    online: &Online,
    name: &str,
    decimals: usize,
    of: &dyn Fn(&OnlineLead) -> Option<f64>,
) -> fmt::Result {
    let number = |formatter: &mut fmt::Formatter<'_>, value: Option<f64>| match value {
        Some(value) => write!(formatter, "{value:>9.decimals$}"),
        None => write!(formatter, "{:>9}", "-"),
    };
    write!(formatter, "{name:<24}")?;
    shown(online).try_for_each(|lead| number(formatter, of(lead)))?;
    let scored: Vec<f64> = online.leads.iter().filter_map(of).collect();
    let mean = (!scored.is_empty()).then(|| scored.iter().sum::<f64>() / scored.len() as f64);
    number(formatter, mean)?;
    formatter.write_char('\n')
}

fn shown(online: &Online) -> impl Iterator<Item = &OnlineLead> {
    online.leads.iter().filter(|lead| SHOWN.contains(&lead.lead_h))
}

impl fmt::Display for Online {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{} on {}, walked as a live station: {} forecasts, one an hour, mean absolute errors in °C",
            self.models.join(", "),
            self.file,
            self.forecasts
        )?;
        for note in &self.notes {
            writeln!(formatter, "note: {note}")?;
        }
        write!(formatter, "{:<24}", "")?;
        shown(self).try_for_each(|lead| write!(formatter, "{:>7} h", lead.lead_h))?;
        writeln!(formatter, "{:>9}", "mean")?;
        for (index, name) in REFERENCES.into_iter().enumerate() {
            row(formatter, self, name, 3, &|lead| finite(lead.references[index].mae()))?;
        }
        for (index, name) in self.models.iter().enumerate() {
            row(formatter, self, &format!("{name} alone"), 3, &|lead| finite(lead.models[index].mae()))?;
        }
        row(formatter, self, COMBINATION, 3, &|lead| finite(lead.combination.mae()))?;
        row(formatter, self, "regret", 3, &|lead| finite(lead.regret_c()))?;
        let percent = |share: Option<f64>| share.map(|share| 100.0 * share);
        row(formatter, self, "coverage (80 %), %", 1, &|lead| percent(lead.coverage.share()))?;
        for (window_h, name) in [(MONTH_H, "30 days"), (YEAR_H, "365 days")] {
            let rolling = |lead: &OnlineLead| lead.rolling_coverage(window_h, self.slots_per_hour).unzip();
            // Few records are of years.
            if window_h == MONTH_H || self.leads.iter().any(|lead| rolling(lead).0.is_some()) {
                row(formatter, self, &format!("  lowest of {name}, %"), 1, &|lead| percent(rolling(lead).0))?;
                row(formatter, self, &format!("  highest of {name}, %"), 1, &|lead| {
                    percent(rolling(lead).1)
                })?;
            }
        }
        row(formatter, self, "  of the model alone, %", 1, &|lead| percent(lead.model_coverage.share()))?;
        writeln!(formatter, "weights at the end")?;
        for standing in &self.standings {
            let name = format!("  {}", standing.name);
            row(formatter, self, &name, 3, &|lead| self.weight(&standing.name, lead.lead_h))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use forecastd_core::{LeadStanding, Standing};

    use super::*;

    /// Of a record of every third hour: one lead was scored, and the one before it never.
    fn three_hourly() -> Online {
        let mut scored = OnlineLead::new(3, 1);
        for (sum, forecast_c) in scored.references.iter_mut().zip([2.0, 3.0, 4.0]) {
            sum.add(forecast_c, 0.0);
        }
        scored.models[0].add(-1.0, 0.0);
        scored.combination.add(0.5, 0.0);
        scored.coverage.add(-1.0, 1.0, 0.0);
        let lead = |lead_h| LeadStanding { lead_h, weight: 0.75, mae_c: None };
        let standing =
            Standing { name: "own@0123".to_owned(), is_asleep: false, leads: vec![lead(1), lead(3)] };
        Online {
            models: vec!["own".to_owned()],
            slots_per_hour: 6,
            file: "record.csv".to_owned(),
            notes: vec!["own: it knows".to_owned()],
            forecasts: 1,
            leads: vec![OnlineLead::new(1, 1), scored],
            standings: vec![standing],
        }
    }

    fn printed(format: EvaluationFormat) -> String {
        let mut text = Vec::new();
        three_hourly().write(format, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn leads_that_were_never_scored_are_no_part_of_a_mean_and_print_a_dash() {
        let table = printed(EvaluationFormat::Table);
        let cells = |name: &str| -> Vec<String> {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(cells("yesterday"), ["-", "3.000", "3.000"]);
        assert_eq!(cells("combination"), ["-", "0.500", "0.500"]);
        assert_eq!(cells("regret"), ["-", "-0.500", "-0.500"]);
        assert_eq!(cells("coverage (80 %), %"), ["-", "100.0", "100.0"]);
        assert_eq!(cells("  lowest of 30 days, %"), ["-"; 3], "one hour is no month");
        assert_eq!(cells("  own@0123"), ["0.750"; 3]);
        assert!(!table.contains("NaN"), "{table}");
    }

    #[test]
    fn the_scores_are_printed_for_programs_with_a_line_for_each_lead_and_expert() {
        let csv = printed(EvaluationFormat::Csv);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + 2 * 5, "{csv}");
        assert_eq!(lines[0], "lead_h,expert,forecasts,mae_c,rmse_c,bias_c,weight,coverage");
        assert_eq!(lines[5], "1,combination,0,,,,,");
        assert_eq!(&lines[9..], ["3,own,1,1.0,1.0,-1.0,0.75,", "3,combination,1,0.5,0.5,0.5,,1.0"]);

        let json: serde_json::Value = serde_json::from_str(&printed(EvaluationFormat::Json)).unwrap();
        assert_eq!((&json["models"][0], &json["forecasts"]), (&"own".into(), &1.into()));
        let scored = &json["leads"][1];
        assert_eq!((&scored["lead_h"], &scored["regret_c"]), (&3.into(), &(-0.5).into()));
        assert_eq!(
            (&scored["experts"][4]["expert"], &scored["experts"][4]["mae_c"]),
            (&"combination".into(), &0.5.into())
        );
        assert_eq!(
            (&json["leads"][0]["regret_c"], &scored["rolling_coverage"]),
            (&serde_json::Value::Null, &serde_json::Value::Null)
        );
        assert_eq!(json["notes"][0], "own: it knows");
        assert_eq!(json["standings"][0]["leads"][1]["weight"], 0.75);
    }
}
