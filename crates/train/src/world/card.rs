//! What is said of the world's model: a card in Markdown, made from the scores.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::evaluate::{Condition, Means, StationScores, means};
use super::pool::{Pool, PoolStation};
use super::split::{Climate, Role};
use super::window::LEADS;

/// The card: scores by condition, climate, lead and station, with how many stations there were of each role.
pub(crate) fn card(pool: &Pool, roles: &[Role], evaluated: &[(Condition, Vec<StationScores>)]) -> String {
    let mut text = String::new();
    let Some((_, whole)) = evaluated.first() else { return text };
    // Writing to a string does not fail.
    let _ = write_card(&mut text, pool, roles, evaluated, whole);
    text
}

fn write_card(
    text: &mut String,
    pool: &Pool,
    roles: &[Role],
    evaluated: &[(Condition, Vec<StationScores>)],
    whole: &[StationScores],
) -> std::fmt::Result {
    let count = |role: Role| roles.iter().filter(|&&own| own == role).count();
    writeln!(
        text,
        "{} stations: {} for training, {} for validation, {} for testing; {} within 50 km of a validation or test station are not used.\n",
        roles.len(),
        count(Role::Train),
        count(Role::Validation),
        count(Role::Test),
        count(Role::Unused)
    )?;
    writeln!(
        text,
        "| | stations | mean of 24 leads | 1 h | 6 h | 12 h | 24 h | coverage of the 80 % interval (lowest, highest station) |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    let all = means(whole.iter());
    let references = [
        ("persistence", all.persistence_c),
        ("same time yesterday", all.yesterday_c),
        ("mixture of both", all.mixture_c),
    ];
    for (name, which) in references {
        writeln!(text, "| {name} | {} | {:.3} | | | | {:.3} | |", all.stations, which[0], which[1])?;
    }
    for (condition, scores) in evaluated {
        line(text, &condition.name, &means(scores.iter()))?;
    }
    let mut climates: BTreeMap<Climate, Vec<&StationScores>> = BTreeMap::new();
    for scores in whole {
        climates.entry(scores.climate).or_default().push(scores);
    }
    for (climate, scores) in &climates {
        line(text, climate.name(), &means(scores.iter().copied()))?;
    }
    writeln!(
        text,
        "\n| | MAE | twice the pinball loss | of the station's own climatology | coverage of the 80 % interval |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
    for (name, row) in [("lowest of the next 24 h", LEADS), ("highest of the next 24 h", LEADS + 1)] {
        let mean = |of: &dyn Fn(&StationScores) -> f64| {
            let values = whole.iter().filter(|scores| scores.rows[row].count > 0).map(of);
            let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
            sum / count
        };
        let per = |scores: &StationScores, sum: f64| sum / scores.rows[row].count as f64;
        writeln!(
            text,
            "| {name} | {:.3} °C | {:.3} °C | {:.3} °C | {:.1} % |",
            mean(&|scores| per(scores, scores.rows[row].error)),
            mean(&|scores| per(scores, scores.rows[row].pinball)),
            mean(&|scores| per(scores, scores.climatology[row - LEADS])),
            100.0 * mean(&|scores| per(scores, scores.rows[row].covered as f64)),
        )?;
    }
    let (days, model, usual) = whole.iter().fold((0.0, 0.0, 0.0), |(days, model, usual), scores| {
        (days + scores.frost.0 as f64, model + scores.frost.1, usual + scores.frost.2)
    });
    writeln!(
        text,
        "\nFrost (below 0 °C) in the next 24 h: Brier score {:.4}, the station's own frequency of the month {:.4}.\n",
        model / days,
        usual / days
    )?;
    writeln!(text, "| lead | MAE | persistence | same time yesterday | coverage of the 80 % interval |")?;
    writeln!(text, "| ---: | ---: | ---: | ---: | ---: |")?;
    for lead in 0..LEADS {
        let mean = |of: &dyn Fn(&StationScores) -> (f64, u64)| {
            let values = whole.iter().map(of).filter(|(_, count)| *count > 0);
            let (sum, count) = values
                .fold((0.0, 0.0), |(sum, stations), (own, count)| (sum + own / count as f64, stations + 1.0));
            sum / count
        };
        writeln!(
            text,
            "| {} h | {:.3} | {:.3} | {:.3} | {:.1} % |",
            lead + 1,
            mean(&|scores| (scores.rows[lead].error, scores.rows[lead].count)),
            mean(&|scores| (scores.rows[lead].persistence, scores.rows[lead].count)),
            mean(&|scores| (scores.rows[lead].yesterday, scores.rows[lead].yesterday_count)),
            100.0 * mean(&|scores| (scores.rows[lead].covered as f64, scores.rows[lead].count)),
        )?;
    }
    writeln!(
        text,
        "\n| test station | group | climate | mean of 24 leads | 24 h | persistence | 24 h | coverage of the 80 % interval |"
    )?;
    writeln!(text, "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")?;
    for scores in whole {
        let station: &PoolStation = &pool.stations[scores.station];
        let persistence = scores.persistence_c();
        writeln!(
            text,
            "| {} ({}) | {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} % |",
            station.name,
            station.id,
            station.group,
            scores.climate.name(),
            scores.mae_c(),
            scores.mae_at_c(24),
            persistence[0],
            persistence[1],
            100.0 * scores.coverage(),
        )?;
    }
    let validation = pool.stations.iter().zip(roles).filter(|(_, role)| **role == Role::Validation);
    let names: Vec<String> =
        validation.map(|(station, _)| format!("{} ({})", station.name.trim(), station.id)).collect();
    writeln!(text, "\nValidation stations, which chose networks and epochs: {}.", names.join(", "))
}

fn line(text: &mut String, name: &str, means: &Means) -> std::fmt::Result {
    let [one, six, twelve, day] = means.at_c;
    let [mean, lowest, highest] = means.coverage.map(|share| 100.0 * share);
    writeln!(
        text,
        "| {name} | {} | {:.3} | {one:.3} | {six:.3} | {twelve:.3} | {day:.3} | {mean:.1} % ({lowest:.1}, {highest:.1}) |",
        means.stations, means.mae_c
    )
}
