//! What a report says first: in words, whether the model is any good, by how much, where, and how far that can be trusted.

use jiff::tz::Offset;

use forecastd_core::ErrorSum;
use forecastd_record::Part;

use crate::figures::PartFigures;
use crate::picture::MONTHS;
use crate::scoring::lead_errors::LeadErrors;

/// An interval whose coverage is that near to what it says, in percentage points, is called right.
const COVERAGE_SLACK: f64 = 3.0;
/// A mean error below that share of the mean absolute error is not worth a word.
const BIAS_SHARE: f64 = 0.1;
/// Months with fewer forecasts are not compared.
const MONTH_FORECASTS: u64 = 100;

/// What the figures say of the model, in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// The whole of it in a sentence.
    pub headline: String,
    /// Whether the model is better than every reference forecast at its longest lead.
    pub is_good: bool,
    /// What there is to say beside.
    pub sentences: Vec<String>,
}

/// The reference forecasts of a lead that were measured, by name.
fn references(errors: &LeadErrors) -> impl Iterator<Item = (&'static str, ErrorSum)> {
    let all = [
        ("\u{201c}same as now\u{201d}", errors.persistence),
        ("\u{201c}same time yesterday\u{201d}", errors.yesterday),
        ("climatology", errors.climatology),
    ];
    all.into_iter().filter(|(_, sum)| sum.mae().is_finite())
}

/// The best of them.
fn best(errors: &LeadErrors) -> Option<(&'static str, ErrorSum)> {
    references(errors).min_by(|(_, a), (_, b)| a.mae().total_cmp(&b.mae()))
}

impl Verdict {
    /// What is said of a model by its forecasts of a part; `None` without forecasts.
    pub(crate) fn new(figures: &PartFigures) -> Option<Verdict> {
        let errors = figures.errors.leads.last().filter(|errors| errors.model.mae().is_finite())?;
        let (name, reference) = best(errors)?;
        let (mae_c, reference_c, lead_h) = (errors.model.mae(), reference.mae(), figures.lead_h);
        let is_good = mae_c < reference_c;
        let headline = if is_good {
            format!(
                "{lead_h} h ahead it errs by {mae_c:.2} °C, {} less than {name} ({reference_c:.2} °C), the best of the \
                 reference forecasts.",
                percent(errors.model.skill(&reference))
            )
        } else {
            format!(
                "Not worth using: {lead_h} h ahead it errs by {mae_c:.2} °C, and {name} by {reference_c:.2} °C for nothing."
            )
        };
        let mut sentences = Vec::new();
        sentences.extend(against_persistence(figures, errors));
        sentences.extend(over_all_leads(&figures.errors.leads));
        sentences.extend(interval(figures, errors));
        sentences.push(mean_error(errors));
        sentences.extend(months(figures));
        sentences.push(basis(figures));
        Some(Verdict { headline, is_good, sentences })
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn against_persistence(figures: &PartFigures, errors: &LeadErrors) -> Option<String> {
    let count = errors.model.count();
    (count > 0).then(|| {
        format!(
            "{} of its forecasts were nearer than \u{201c}same as now\u{201d}, which errs by {:.2} °C.",
            percent(figures.nearer as f64 / count as f64),
            errors.persistence.mae()
        )
    })
}

/// At how many leads the model is better than every reference forecast.
fn over_all_leads(leads: &[LeadErrors]) -> Option<String> {
    let compared: Vec<(u32, bool)> = leads
        .iter()
        .filter_map(|errors| Some((errors.lead_h, errors.model.mae() < best(errors)?.1.mae())))
        .collect();
    let [(first_h, _), .., (last_h, _)] = compared[..] else { return None };
    let worse: Vec<String> =
        compared.iter().filter(|(_, better)| !better).map(|(lead_h, _)| lead_h.to_string()).collect();
    Some(match worse.len() {
        0 => format!("It is better than every reference forecast at each lead from {first_h} to {last_h} h."),
        all if all == compared.len() => "At no lead is it better than every reference forecast.".to_owned(),
        few if few <= 6 => {
            format!("It is better than every reference forecast at each lead but {} h.", worse.join(", "))
        }
        many => format!(
            "It is better than every reference forecast at {} of {} leads.",
            compared.len() - many,
            compared.len()
        ),
    })
}

fn interval(figures: &PartFigures, errors: &LeadErrors) -> Option<String> {
    let [low, _, high] = figures.quantiles?;
    let nominal = 100.0 * f64::from(high - low);
    let held = 100.0 * errors.coverage.share()?;
    let width = match held - nominal {
        off if off.abs() <= COVERAGE_SLACK => "as wide as it should be",
        off if off < -2.0 * COVERAGE_SLACK => "too narrow",
        off if off < 0.0 => "a little too narrow",
        _ => "wider than it need be",
    };
    Some(format!("Its {nominal:.0} % interval covered {held:.0} % of the observations: {width}."))
}

fn mean_error(errors: &LeadErrors) -> String {
    let (bias_c, mae_c) = (errors.model.bias(), errors.model.mae());
    if bias_c.abs() < BIAS_SHARE * mae_c {
        return "On average it is neither too warm nor too cold.".to_owned();
    }
    let side = if bias_c > 0.0 { "warm" } else { "cold" };
    format!("On average it is {:.2} °C too {side}.", bias_c.abs())
}

/// In which months it helps most and least.
fn months(figures: &PartFigures) -> Option<String> {
    let enough =
        figures.by_month.iter().zip(MONTHS).filter(|(beside, _)| beside.model.count() >= MONTH_FORECASTS);
    let mut skills: Vec<(f64, &str)> =
        enough.map(|(beside, month)| (beside.model.skill(&beside.persistence), month)).collect();
    skills.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let [(least, least_in), .., (most, most_in)] = skills[..] else { return None };
    let least = if least > 0.0 { percent(least) } else { "nothing".to_owned() };
    Some(format!(
        "Against \u{201c}same as now\u{201d} it saves most of the error in {most_in} ({}) and least in {least_in} ({least}).",
        percent(most)
    ))
}

/// What the verdict rests on.
fn basis(figures: &PartFigures) -> String {
    let errors = &figures.errors;
    let (first, last) = errors.span;
    let date = |time: jiff::Timestamp| Offset::UTC.to_datetime(time).date();
    let seen = match errors.part {
        _ if errors.before_refit => "by the model before it was trained on them too",
        Part::Validation => {
            "by which the model was chosen, so that it may do a little worse; the test part is kept shut until a model is written"
        }
        Part::Test => "which it had never seen",
        Part::Train => "on which it was trained: nothing is proved by them",
        Part::Whole => "on which it is not known to have been trained",
    };
    format!(
        "Verified by {} forecasts on {} days, {} to {}, {seen}.",
        errors.origins,
        figures.days,
        date(first),
        date(last)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Beside;
    use crate::scoring::lead_errors::PartErrors;
    use forecastd_core::Coverage;
    use jiff::Timestamp;

    /// A sum of `count` errors of `error_c`, with the other sign every second time but for `bias_c`.
    fn sum(error_c: f64, bias_c: f64, count: u32) -> ErrorSum {
        let mut sum = ErrorSum::default();
        for index in 0..count {
            let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
            sum.add(sign * error_c + bias_c, 0.0);
        }
        sum
    }

    fn lead(lead_h: u32, model_c: f64, persistence_c: f64, yesterday_c: f64) -> LeadErrors {
        let mut coverage = Coverage::default();
        (0..10).for_each(|index| coverage.add(0.0, 1.0, if index < 7 { 0.5 } else { 2.0 }));
        LeadErrors {
            lead_h,
            model: sum(model_c, 0.0, 200),
            persistence: sum(persistence_c, 0.0, 200),
            yesterday: sum(yesterday_c, 0.0, 200),
            climatology: ErrorSum::default(),
            coverage,
        }
    }

    fn figures(leads: Vec<LeadErrors>) -> PartFigures {
        let beside =
            |model_c, count| Beside { model: sum(model_c, 0.0, count), persistence: sum(2.0, 0.0, count) };
        let mut by_month = [Beside::default(); 12];
        (by_month[1], by_month[6], by_month[7]) = (beside(1.0, 100), beside(1.8, 100), beside(0.1, 99));
        let lead_h = leads.last().map_or(0, |errors| errors.lead_h);
        let (first, last) = (Timestamp::UNIX_EPOCH, "1970-03-01T00:00:00Z".parse().unwrap());
        PartFigures {
            errors: PartErrors {
                part: Part::Test,
                before_refit: false,
                origins: 200,
                span: (first, last),
                leads,
            },
            lead_h,
            nearer: 150,
            days: 60,
            fan: None,
            weeks: Vec::new(),
            by_hour: [Beside::default(); 24],
            by_month,
            quantiles: Some([0.1, 0.5, 0.9]),
            calibration: Vec::new(),
        }
    }

    #[test]
    fn a_model_is_compared_with_the_best_of_the_reference_forecasts() {
        let verdict = Verdict::new(&figures(vec![lead(1, 0.4, 0.5, 3.0), lead(24, 1.5, 3.0, 2.0)])).unwrap();
        assert!(verdict.is_good);
        let headline = &verdict.headline;
        assert!(headline.starts_with("24 h ahead it errs by 1.50 °C, 25 % less than"), "{headline}");
        assert!(headline.contains("same time yesterday\u{201d} (2.00 °C)"), "{headline}");
        let text = verdict.sentences.join("\n");
        for sentence in [
            "75 % of its forecasts were nearer than \u{201c}same as now\u{201d}, which errs by 3.00 °C.",
            "better than every reference forecast at each lead from 1 to 24 h.",
            "80 % interval covered 70 % of the observations: too narrow.",
            "neither too warm nor too cold",
            "most of the error in Feb (50 %) and least in Jul (10 %)",
            "200 forecasts on 60 days, 1970-01-01 to 1970-03-01, which it had never seen.",
        ] {
            assert!(text.contains(sentence), "{sentence} in\n{text}");
        }
    }

    #[test]
    fn a_model_that_a_reference_forecast_beats_is_called_not_worth_using() {
        let verdict = Verdict::new(&figures(vec![lead(1, 0.4, 0.5, 3.0), lead(24, 2.5, 3.0, 2.0)])).unwrap();
        assert!(!verdict.is_good);
        assert!(
            verdict.headline.starts_with("Not worth using: 24 h ahead it errs by 2.50 °C"),
            "{}",
            verdict.headline
        );
        assert!(verdict.sentences.iter().any(|sentence| sentence.ends_with("at each lead but 24 h.")));
    }

    #[test]
    fn a_mean_error_is_said_with_its_side_where_it_is_a_tenth_of_the_error() {
        // All errors are between 0.2 and 0.8: the mean is 0.5, and so is the mean absolute error.
        let errors = |bias_c| LeadErrors { model: sum(0.3, bias_c, 200), ..LeadErrors::default() };
        assert_eq!(mean_error(&errors(0.5)), "On average it is 0.50 °C too warm.");
        assert_eq!(mean_error(&errors(-0.5)), "On average it is 0.50 °C too cold.");
        assert!(mean_error(&errors(0.01)).contains("neither"));
    }

    #[test]
    fn nothing_is_said_of_a_part_without_forecasts() {
        assert_eq!(Verdict::new(&figures(Vec::new())), None);
    }
}
