//! Where an axis has its marks.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};

/// A mark of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    /// The position on the axis, in its unit.
    pub value: f64,
    /// What stands there.
    pub label: String,
}

/// Round numbers between `low` and `high`, at most about `most` of them.
pub(crate) fn of_numbers(low: f64, high: f64, most: usize) -> Vec<Tick> {
    multiples(low, high, round_step((high - low) / most.max(1) as f64))
}

/// Hours between `low` and `high` that divide the day, at most about `most` of them; days where there are more.
pub(crate) fn of_hours(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let wanted = (high - low) / most.max(1) as f64;
    let step = [1.0, 2.0, 3.0, 6.0, 12.0].into_iter().find(|&step| step >= wanted * (1.0 - 1e-9));
    multiples(low, high, step.unwrap_or(24.0 * (wanted / 24.0).ceil().max(1.0)))
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<Tick> {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last)
        .map(|index| {
            let value = index as f64 * step;
            Tick { value, label: format!("{value:.decimals$}").replace('-', "\u{2212}") }
        })
        .collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that is not smaller than `wanted`.
fn round_step(wanted: f64) -> f64 {
    if !(wanted.is_finite() && wanted > 0.0) {
        return 1.0;
    }
    let power = 10.0_f64.powf(wanted.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|&step| step >= wanted * (1.0 - 1e-9))
        .unwrap_or(1.0)
}

/// A step from one mark of time to the next.
#[derive(Clone, Copy)]
enum Step {
    Years(i64),
    Months(i64),
    Days(i64),
}

/// Beginnings of years, months or days (UTC) between two times in seconds since 1970, at most `most` of them.
pub(crate) fn of_times(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let steps = [
        Step::Days(1),
        Step::Days(2),
        Step::Days(7),
        Step::Months(1),
        Step::Months(3),
        Step::Years(1),
        Step::Years(2),
        Step::Years(5),
        Step::Years(10),
        Step::Years(50),
    ];
    let mut ticks = Vec::new();
    for step in steps {
        ticks = of_step(low, high, step, most + 1);
        if ticks.len() <= most {
            break;
        }
    }
    ticks
}

fn of_step(low: f64, high: f64, step: Step, most: usize) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let Ok(first) = Timestamp::from_second(low as i64) else { return ticks };
    let date = Offset::UTC.to_datetime(first).date();
    let (begin, span) = match step {
        Step::Years(years) => {
            let year = i64::from(date.year()).div_euclid(years) * years;
            (Date::new(year as i16, 1, 1).ok(), Span::new().years(years))
        }
        Step::Months(months) => {
            let month = (i64::from(date.month()) - 1).div_euclid(months) * months + 1;
            (Date::new(date.year(), month as i8, 1).ok(), Span::new().months(months))
        }
        Step::Days(days) => (Some(date), Span::new().days(days)),
    };
    let mut next = begin;
    while let Some(date) = next {
        let Ok(time) = Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)) else { break };
        let value = time.as_second() as f64;
        if value > high || ticks.len() >= most {
            break;
        }
        if value >= low {
            let label = match step {
                Step::Years(_) => date.strftime("%Y"),
                Step::Months(_) => date.strftime("%b %Y"),
                Step::Days(_) => date.strftime("%-d %b"),
            };
            ticks.push(Tick { value, label: label.to_string() });
        }
        next = date.checked_add(span).ok();
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn numbers_are_round() {
        assert_eq!(labels(&of_numbers(0.0, 1.0, 5)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&of_numbers(-23.0, 37.0, 4)), ["\u{2212}20", "0", "20"]);
        assert_eq!(labels(&of_numbers(1.0, 24.0, 5)), ["5", "10", "15", "20"]);
        assert!(of_numbers(3.0, 3.0, 5).len() <= 6, "a constant has an axis too");
    }

    #[test]
    fn hours_divide_the_day() {
        assert_eq!(labels(&of_hours(1.0, 24.0, 5)), ["6", "12", "18", "24"]);
        assert_eq!(labels(&of_hours(1.0, 6.0, 12)), ["1", "2", "3", "4", "5", "6"]);
        assert_eq!(
            labels(&of_hours(-48.0, 24.0, 7)),
            ["\u{2212}48", "\u{2212}36", "\u{2212}24", "\u{2212}12", "0", "12", "24"]
        );
        assert_eq!(labels(&of_hours(0.0, 240.0, 5)), ["0", "48", "96", "144", "192", "240"]);
    }

    #[test]
    fn times_are_beginnings_of_years_months_or_days() {
        let seconds = |text: &str| text.parse::<Timestamp>().unwrap().as_second() as f64;
        let ticks = |from: &str, to: &str| of_times(seconds(from), seconds(to), 9);
        let years = ticks("2009-01-01T00:10:00Z", "2016-12-31T23:00:00Z");
        assert_eq!(labels(&years), ["2010", "2011", "2012", "2013", "2014", "2015", "2016"]);
        let months = ticks("2020-02-10T00:00:00Z", "2020-05-10T00:00:00Z");
        assert_eq!(labels(&months), ["Mar 2020", "Apr 2020", "May 2020"]);
        let days = ticks("2020-02-27T12:00:00Z", "2020-03-02T00:00:00Z");
        assert_eq!(labels(&days), ["28 Feb", "29 Feb", "1 Mar", "2 Mar"]);
        assert_eq!(days[0].value, seconds("2020-02-28T00:00:00Z"));
    }
}
