//! Walks a record of temperatures as a station without a model would, and prints how the reference experts, their
//! combination and its intervals did.
//!
//! ```text
//! cargo run --release -p forecastd-core --example experts -- RECORD.csv TIME_COLUMN TEMPERATURE_COLUMN [FACTOR [MODEL.csv]]
//! ```
//!
//! Columns count from 0. Times are `YYYY-MM-DD HH:MM:SS` or `DD.MM.YYYY HH:MM:SS`, in UTC or any other fixed offset.
//! Temperatures are multiplied by FACTOR. MODEL.csv has a model's forecasts: second of the origin, then quantiles 0.1, 0.5,
//! 0.9 in °C for each lead.

#![expect(clippy::print_stdout, reason = "an example prints")]
#![allow(clippy::disallowed_methods, reason = "an example reads files and the clock; the crate does not")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use forecastd_core::{Advice, Distances, Experts, LEVELS, LeadAdvice, MODEL_PRIOR, References, Spread};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

const LEADS: u32 = 24;
const SHOWN: [u32; 8] = [1, 2, 3, 6, 9, 12, 18, 24];
/// Days at the beginning that are not scored.
const UNSCORED_DAYS: i64 = 14;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, time, temperature, more @ ..] = arguments.as_slice() else {
        return Err("RECORD.csv TIME_COLUMN TEMPERATURE_COLUMN [FACTOR [MODEL.csv]]".into());
    };
    let factor: f32 = more.first().map_or(Ok(1.0), |factor| factor.parse())?;
    let record = read_record(&std::fs::read_to_string(path)?, time.parse()?, temperature.parse()?, factor);
    let model = more.get(1).map(std::fs::read_to_string).transpose()?;
    walk(&record, &model.map(|text| read_model(&text)).unwrap_or_default());
    Ok(())
}

/// Temperatures by second.
fn read_record(text: &str, time: usize, temperature: usize, factor: f32) -> HashMap<i64, f32> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        let time = cells.get(time)?;
        let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", time)
            .or_else(|_| DateTime::strptime("%d.%m.%Y %H:%M:%S", time))
            .ok()?;
        let temperature_c: f32 = cells.get(temperature)?.parse().ok()?;
        let second = Offset::UTC.to_timestamp(time).ok()?.as_second();
        (temperature_c > -100.0).then_some((second, temperature_c * factor))
    };
    text.lines().filter_map(row).collect()
}

/// What the model said, by second of the origin and lead.
fn read_model(text: &str) -> HashMap<i64, Vec<Option<LeadAdvice>>> {
    let lead = |quantiles: &[f32]| {
        let &[low_c, temperature_c, high_c] = quantiles else { return None };
        let distances = Distances::from_quantiles(temperature_c, &[(0.1, low_c), (0.9, high_c)])?;
        Some(LeadAdvice { temperature_c, spread: Spread::Distances(distances) })
    };
    let row = |line: &str| {
        let (origin, quantiles) = line.split_once(',')?;
        let quantiles: Vec<f32> = quantiles.split(',').filter_map(|cell| cell.parse().ok()).collect();
        Some((origin.parse().ok()?, quantiles.chunks(3).map(lead).collect()))
    };
    text.lines().filter_map(row).collect()
}

#[derive(Default, Clone)]
struct Errors {
    absolute: f64,
    count: f64,
}

impl Errors {
    fn add(&mut self, error_c: f32) {
        self.absolute += f64::from(error_c.abs());
        self.count += 1.0;
    }

    fn mae(&self) -> f64 {
        self.absolute / self.count
    }
}

fn walk(record: &HashMap<i64, f32>, model: &HashMap<i64, Vec<Option<LeadAdvice>>>) {
    let lead_h: Vec<u32> = (1..=LEADS).collect();
    let mut experts = Experts::new(&lead_h);
    let mut origins: Vec<i64> = record.keys().copied().filter(|second| second % 3600 == 0).collect();
    origins.sort_unstable();
    let value = |time: Timestamp| record.get(&time.as_second()).copied();
    let mut raw: HashMap<String, Vec<Errors>> = HashMap::new();
    let mut combined = vec![Errors::default(); LEADS as usize];
    let mut hits = [[0.0; LEADS as usize]; 3];
    let mut rolling = vec![[0.0_f64; 2]; LEADS as usize];
    let mut worst = vec![(1.0_f64, 0.0_f64); LEADS as usize];
    let mut pinball = 0.0;
    let mut spent: Vec<Duration> = Vec::with_capacity(origins.len());
    let first = origins.first().copied().unwrap_or_default();
    for (index, &origin_s) in origins.iter().enumerate() {
        let Ok(origin) = Timestamp::from_second(origin_s) else { continue };
        let references = References::new(&lead_h, origin, record[&origin_s], value);
        let mut advices = references.advices().to_vec();
        if let Some(leads) = model.get(&origin_s) {
            advices.push(Advice { name: "model", prior: MODEL_PRIOR, leads });
        }
        let begin = Instant::now();
        experts.learn_until(origin, value);
        let combination = experts.combine(origin, &advices);
        experts.issued(&combination);
        spent.push(begin.elapsed());
        if index % 200 == 0 {
            let restored = Experts::decode(&experts.encode());
            assert!(restored.as_ref() == Some(&experts), "what is restored is the same");
        }
        if origin_s - first < UNSCORED_DAYS * 86_400 || (!model.is_empty() && !model.contains_key(&origin_s))
        {
            continue;
        }
        for (lead, said) in combination.leads().enumerate() {
            let Some(&observed_c) = record.get(&(origin_s + i64::from(said.lead_h) * 3600)) else { continue };
            combined[lead].add(said.temperature_c - observed_c);
            for (level, &probability) in LEVELS.iter().enumerate() {
                let (low_c, high_c) = said.interval_c(probability).unwrap_or_default();
                let is_within = (low_c..=high_c).contains(&observed_c);
                hits[level][lead] += f64::from(u8::from(is_within));
                if level == 1 {
                    // Over about 30 days.
                    let decay = (-1.0_f64 / 720.0).exp();
                    rolling[lead][0] = rolling[lead][0] * decay + f64::from(u8::from(is_within));
                    rolling[lead][1] = rolling[lead][1] * decay + 1.0;
                    if rolling[lead][1] > 600.0 {
                        let share = rolling[lead][0] / rolling[lead][1];
                        worst[lead] = (worst[lead].0.min(share), worst[lead].1.max(share));
                    }
                    let tail = |end_c: f32, tail: f64| {
                        let above = f64::from(observed_c - end_c);
                        above.max(0.0) * tail + (-above).max(0.0) * (1.0 - tail)
                    };
                    pinball += tail(low_c, 0.1) + tail(high_c, 0.9);
                }
            }
            for advice in &advices {
                let errors = raw
                    .entry(advice.name.to_owned())
                    .or_insert_with(|| vec![Errors::default(); LEADS as usize]);
                if let Some(said) = advice.leads[lead] {
                    errors[lead].add(said.temperature_c - observed_c);
                }
            }
        }
    }
    print_table(&experts, &raw, &combined);
    let count: f64 = combined.iter().map(|errors| errors.count).sum();
    for (level, probability) in LEVELS.iter().enumerate() {
        let by_lead =
            SHOWN.map(|lead| hits[level][lead as usize - 1] / combined[lead as usize - 1].count * 100.0);
        let mean = hits[level].iter().sum::<f64>() / count * 100.0;
        println!("coverage of {:.0} %    {mean:8.1}  {}", probability * 100.0, numbers(&by_lead, 1));
    }
    let range = |pick: fn(&(f64, f64)) -> f64| SHOWN.map(|lead| pick(&worst[lead as usize - 1]) * 100.0);
    println!("rolling of 80 %, from          {}", numbers(&range(|(low, _)| *low), 1));
    println!("rolling of 80 %, to            {}", numbers(&range(|(_, high)| *high), 1));
    println!("pinball loss of 0.1 and 0.9: {:.4}", pinball / count / 2.0);
    spent.sort_unstable();
    println!(
        "{} origins, {:.1} µs each with what is learned (median), state {} bytes",
        origins.len(),
        spent.get(spent.len() / 2).map_or(0.0, |median| median.as_secs_f64() * 1e6),
        experts.encode().len()
    );
}

fn print_table(experts: &Experts, raw: &HashMap<String, Vec<Errors>>, combined: &[Errors]) {
    println!("MAE, °C                  mean  {}", numbers(&SHOWN.map(f64::from), 0));
    let row = |name: &str, errors: &[Errors]| {
        let mean = errors.iter().map(Errors::mae).sum::<f64>() / errors.len() as f64;
        println!("{name:20} {mean:8.3}  {}", numbers(&SHOWN.map(|lead| errors[lead as usize - 1].mae()), 3));
    };
    let mut names: Vec<&String> = raw.keys().collect();
    names.sort();
    for name in names {
        row(name, &raw[name]);
    }
    row("combination", combined);
    for standing in experts.standings() {
        let weights = SHOWN.map(|lead| f64::from(standing.leads[lead as usize - 1].weight));
        println!("weight of {:18}    {}", standing.name, numbers(&weights, 3));
        let mae = SHOWN.map(|lead| f64::from(standing.leads[lead as usize - 1].mae_c.unwrap_or(f32::NAN)));
        println!("  rolling MAE                  {}", numbers(&mae, 3));
    }
}

fn numbers(numbers: &[f64], digits: usize) -> String {
    numbers.iter().map(|number| format!("{number:8.digits$}")).collect()
}
