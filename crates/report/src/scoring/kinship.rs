//! How a record that a model is evaluated on is related to what the model was trained on.
//!
//! A manifest keeps of its training file the hash, the number of readings and the times of the first and the last; and
//! of its station the site. The same readings under another name, saved anew by another program, have another hash; so
//! has the same station at another cadence, or one more year of it. The model is not to be verified on what it was
//! trained on.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;

use forecastd_core::{Refit, Site, Slot, TrainedRecord, Training};
use forecastd_record::{Part, Record};

/// Sites no further apart than this, in degrees of latitude and of longitude, are taken for one.
const SAME_SITE_DEG: f64 = 0.1;
/// A record whose ends lie no further than this from those of the training file spans it.
const SPAN_SLACK_S: i64 = 86_400;

/// How a record is related to what a model was trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum Kinship {
    /// It shares no time with it, or nothing is known of the training.
    None,
    /// It is the file.
    SameFile,
    /// It has as many readings between the same times: the file in another form.
    SameReadings {
        /// The file that the model was trained on.
        file: String,
    },
    /// It is of the same station and overlaps it.
    SameStation {
        /// The times between which the model was trained.
        trained: (Timestamp, Timestamp),
        /// The slots that the model may have been trained on or was chosen by.
        learned: Range<Slot>,
    },
    /// It overlaps it in time; of another station, or who knows of which.
    SameTime {
        /// The times between which the model was trained.
        trained: (Timestamp, Timestamp),
        /// Whether the record says that its station stands elsewhere.
        is_elsewhere: bool,
    },
}

impl Kinship {
    /// How `record` is related to the training of a model that is for `site`, or for any.
    ///
    /// A model for any site is trained on records of many; those of them that have a file are known by it and by their sites. So
    /// did one for a site that goes on from such a model, besides its own.
    pub fn new(training: Option<&Training>, site: Option<Site>, record: &Record) -> Kinship {
        let facts = record.facts();
        let Some(training) = training else { return Kinship::None };
        if training.sha256 == facts.sha256 {
            return Kinship::SameFile;
        }
        let of_pool = Kinship::of_pool(training, record);
        let Some(site) = site else { return of_pool };
        match (Kinship::of_station(training, site, record), of_pool) {
            (
                Kinship::SameStation { trained: (first, last), learned },
                Kinship::SameStation { trained: (other_first, other_last), learned: other },
            ) => Kinship::SameStation {
                trained: (first.min(other_first), last.max(other_last)),
                learned: learned.start.min(other.start)..learned.end.max(other.end),
            },
            (Kinship::None | Kinship::SameTime { .. }, of_pool @ Kinship::SameStation { .. }) => of_pool,
            (own, _) => own,
        }
    }

    /// How `record` is related to the one record that a model for `site` was trained on itself.
    fn of_station(training: &Training, site: Site, record: &Record) -> Kinship {
        let facts = record.facts();
        let trained = (training.first, training.last);
        if (facts.first, facts.last, facts.readings) == (training.first, training.last, training.rows) {
            return Kinship::SameReadings { file: training.file.clone() };
        }
        if facts.last < training.first || facts.first > training.last {
            return Kinship::None;
        }
        match record.site() {
            Some(own) if is_same_site(own, site) => {
                Kinship::SameStation { trained, learned: learned(training, record) }
            }
            own => Kinship::SameTime { trained, is_elsewhere: own.is_some() },
        }
    }

    /// How `record` is related to the records among those that a model for any site was trained on.
    fn of_pool(training: &Training, record: &Record) -> Kinship {
        let facts = record.facts();
        let is_same = |trained: &&TrainedRecord| {
            let is_near = record.site().is_some_and(|site| is_same_site(site, trained.site));
            trained.sha256 == facts.sha256 || is_near
        };
        let overlaps = |trained: &&TrainedRecord| facts.first <= trained.last && facts.last >= trained.first;
        let Some(found) = training.records.iter().filter(is_same).find(overlaps) else {
            return Kinship::None;
        };
        let grid = record.history().grid();
        let learned = grid.slot(found.first)..grid.slot(found.last) + 1;
        Kinship::SameStation { trained: (found.first, found.last), learned }
    }

    /// Whether the record is what the model was trained on, split as it was then.
    pub fn is_training_record(&self) -> bool {
        matches!(self, Kinship::SameFile | Kinship::SameReadings { .. })
    }

    /// What of a record that is not the training file itself a model may be evaluated on: what lies after all that it was
    /// trained on, or else before it; empty where nothing is left.
    pub fn evaluation_slots(&self, whole: Range<Slot>) -> Range<Slot> {
        let Kinship::SameStation { learned, .. } = self else { return whole };
        let after = learned.end.max(whole.start)..whole.end;
        let before = whole.start..learned.start.min(whole.end);
        if after.is_empty() { before } else { after }
    }
}

impl fmt::Display for Kinship {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kinship::None => Ok(()),
            Kinship::SameFile => formatter.write_str("this is the file that the model was trained on"),
            Kinship::SameReadings { file } => write!(
                formatter,
                "this record has as many readings as {file}, which the model was trained on, between the same times: it is \
                 taken for the same"
            ),
            Kinship::SameStation { trained: (first, last), .. } => write!(
                formatter,
                "this record overlaps the span that the model was trained on ({first} to {last}), at the same site: what it \
                 may have been trained on is left out"
            ),
            Kinship::SameTime { trained: (first, last), is_elsewhere } => write!(
                formatter,
                "this record overlaps the span that the model was trained on ({first} to {last}){}",
                if *is_elsewhere {
                    ", at another site"
                } else {
                    "; if it is the same station, the model has seen some of it: a mapping with the site would tell"
                }
            ),
        }
    }
}

fn is_same_site(one: Site, other: Site) -> bool {
    (one.latitude_deg - other.latitude_deg).abs() <= SAME_SITE_DEG
        && (one.longitude_deg - other.longitude_deg).abs() <= SAME_SITE_DEG
}

/// The slots of `record` that a model may have been trained on or was chosen by.
///
/// Where the record spans all of the training file, the parts of the split are found by counting its own rows, whatever
/// its cadence; where it does not, nobody knows which they were, and all of the file's time is left out.
fn learned(training: &Training, record: &Record) -> Range<Slot> {
    let grid = record.history().grid();
    let facts = record.facts();
    let trained = grid.slot(training.first)..grid.slot(training.last) + 1;
    let spans = facts.first.duration_since(training.first).as_secs() <= SPAN_SLACK_S
        && training.last.duration_since(facts.last).as_secs() <= SPAN_SLACK_S;
    if training.refit == Some(Refit::Whole) || !spans {
        return trained;
    }
    let rows = record.rows_within(&trained);
    let chosen_by = training.split.train + training.split.validation;
    let end = rows.get((rows.len() as f64 * chosen_by).round() as usize).copied();
    trained.start..end.unwrap_or(trained.end)
}

/// The parts of a record that a model is evaluated on, with their slots.
///
/// Of the record that it was trained on, these are the validation and the test part, without what it was refitted on;
/// of any other, all but what it may have been trained on. Empty when nothing is left.
pub fn evaluation_parts(
    kinship: &Kinship,
    training: Option<&Training>,
    record: &Record,
) -> Vec<(Part, Range<Slot>)> {
    let Some(training) = training.filter(|_| kinship.is_training_record()) else {
        // The split does not matter for the whole.
        let whole = record.part(forecastd_record::DEFAULT_SPLIT, Part::Whole);
        let slots = kinship.evaluation_slots(whole);
        return if slots.is_empty() { Vec::new() } else { vec![(Part::Whole, slots)] };
    };
    let parts: &[Part] = match training.refit {
        None => &[Part::Validation, Part::Test],
        Some(Refit::Validation) => &[Part::Test],
        Some(Refit::Whole) => &[],
    };
    parts.iter().map(|&part| (part, record.part(training.split, part))).collect()
}

/// The slots that every one of several models may be evaluated on, of the parts of each; empty where they have nothing in common.
pub fn common_cases(of_models: &[Vec<(Part, Range<Slot>)>]) -> Vec<Range<Slot>> {
    let slots = |parts: &[(Part, Range<Slot>)]| parts.iter().map(|(_, slots)| slots.clone()).collect();
    let Some((first, others)) = of_models.split_first() else { return Vec::new() };
    others.iter().fold(slots(first), |common: Vec<Range<Slot>>, parts| {
        let both = |one: &Range<Slot>| -> Vec<Range<Slot>> {
            let within = |(_, own): &(Part, Range<Slot>)| one.start.max(own.start)..one.end.min(own.end);
            parts.iter().map(within).filter(|slots| !slots.is_empty()).collect()
        };
        common.iter().flat_map(both).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecastd_core::{Grid, Quantity, Split, Values};

    const JENA: Site = Site::new(50.91, 11.57);
    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Hourly readings of the days from `first` to `last`, without those of the days in `hole`.
    fn record(first: i64, last: i64, step_s: i64, hole: Range<i64>, site: Option<Site>) -> Record {
        let seconds = (first * DAY..last * DAY).step_by(step_s as usize);
        let readings: Vec<(Timestamp, Values)> = seconds
            .filter(|second| !hole.contains(&(second / DAY)))
            .map(|second| {
                let mut values = Values::NONE;
                values.set(Quantity::AirTemperature, (second / step_s % 17) as f32 / 2.0);
                (at(second), values)
            })
            .collect();
        let record =
            Record::from_readings(&readings, Grid::new(600).unwrap(), &[Quantity::AirTemperature]).unwrap();
        record.at_site(site)
    }

    /// A model that was trained on hourly readings of the days 100 to 200, of which 125 to 150 are missing, and learned
    /// from half of them, chosen by a quarter.
    fn training(refit: Option<Refit>) -> Training {
        Training {
            file: "hourly.csv".to_owned(),
            sha256: "abc".to_owned(),
            rows: 75 * 24,
            first: at(100 * DAY),
            last: at(200 * DAY - 3600),
            split: Split { train: 0.5, validation: 0.25 },
            refit,
            seed: 1,
            experiment: String::new(),
            settings: serde_json::Value::Null,
            climatology: None,
            records: Vec::new(),
        }
    }

    fn evaluated(record: &Record, refit: Option<Refit>) -> (Kinship, Vec<(Part, Range<i64>)>) {
        let training = training(refit);
        let kinship = Kinship::new(Some(&training), Some(JENA), record);
        let parts = evaluation_parts(&kinship, Some(&training), record);
        // In days.
        let days = |slots: Range<Slot>| slots.start / 144..(slots.end + 143) / 144;
        let parts = parts.into_iter().map(|(part, slots)| (part, days(slots))).collect();
        (kinship, parts)
    }

    #[test]
    fn the_same_readings_under_another_name_are_evaluated_on_what_was_not_trained_on() {
        let same = record(100, 200, 3600, 125..150, None);
        let (kinship, parts) = evaluated(&same, None);
        assert_eq!(kinship, Kinship::SameReadings { file: "hourly.csv".to_owned() });
        // Rows are 25 days before the hole and 50 after it; the half is 12.5 days after it, three quarters 31.25.
        assert_eq!(parts, [(Part::Validation, 162..182), (Part::Test, 181..200)]);
        assert_eq!(evaluated(&same, Some(Refit::Validation)).1, [(Part::Test, 181..200)]);
        assert_eq!(evaluated(&same, Some(Refit::Whole)).1, []);
    }

    #[test]
    fn the_same_station_at_another_cadence_is_evaluated_on_what_lies_after_what_was_trained_on() {
        let finer = record(100, 230, 600, 125..150, Some(JENA));
        let (kinship, parts) = evaluated(&finer, None);
        assert!(matches!(kinship, Kinship::SameStation { .. }));
        assert!(
            kinship.to_string().contains("overlaps the span that the model was trained on (1970-04-11"),
            "{kinship}"
        );
        assert_eq!(parts, [(Part::Whole, 181..230)], "three quarters of the rows of the days 100 to 200");
        // The last reading trained on is the one before the last hour of day 199.
        assert_eq!(evaluated(&finer, Some(Refit::Whole)).1, [(Part::Whole, 199..230)]);
    }

    #[test]
    fn of_a_part_of_the_training_file_nothing_is_left_and_of_what_precedes_it_everything() {
        let within = record(160, 190, 3600, 0..0, Some(JENA));
        assert_eq!(evaluated(&within, None).1, [], "nobody knows what of it was learned");
        let before = record(50, 150, 3600, 0..0, Some(JENA));
        assert_eq!(evaluated(&before, None).1, [(Part::Whole, 50..100)]);
        let later = record(190, 230, 3600, 0..0, Some(JENA));
        assert_eq!(evaluated(&later, None).1, [(Part::Whole, 199..230)]);
    }

    #[test]
    fn a_model_of_many_stations_is_evaluated_on_what_it_did_not_see_of_this_one() {
        let learned = TrainedRecord {
            file: "jena.csv".to_owned(),
            sha256: "abc".to_owned(),
            site: JENA,
            first: at(100 * DAY),
            last: at(150 * DAY - 600),
        };
        let training = Training { records: vec![learned], ..training(None) };
        let evaluated = |record: &Record| {
            let kinship = Kinship::new(Some(&training), None, record);
            let parts = evaluation_parts(&kinship, Some(&training), record);
            let days = |slots: Range<Slot>| slots.start / 144..(slots.end + 143) / 144;
            parts.into_iter().map(|(part, slots)| (part, days(slots))).collect::<Vec<_>>()
        };
        assert_eq!(evaluated(&record(100, 200, 3600, 0..0, Some(JENA))), [(Part::Whole, 150..200)]);
        let elsewhere = Some(Site::new(52.21, 0.09));
        assert_eq!(evaluated(&record(100, 200, 3600, 0..0, elsewhere)), [(Part::Whole, 100..200)]);
    }

    #[test]
    fn a_specialist_is_not_evaluated_on_what_the_model_that_it_goes_on_from_was_trained_on() {
        let pool = |first: i64, last: i64| TrainedRecord {
            file: "jena.csv".to_owned(),
            sha256: "abd".to_owned(),
            site: JENA,
            first: at(first * DAY),
            last: at(last * DAY - 600),
        };
        let evaluated = |pool: TrainedRecord, record: &Record| {
            let training = Training { records: vec![pool], ..training(Some(Refit::Whole)) };
            let kinship = Kinship::new(Some(&training), Some(JENA), record);
            let parts = evaluation_parts(&kinship, Some(&training), record);
            let days = |slots: Range<Slot>| slots.start / 144..(slots.end + 143) / 144;
            parts.into_iter().map(|(part, slots)| (part, days(slots))).collect::<Vec<_>>()
        };
        let later = record(210, 300, 3600, 0..0, Some(JENA));
        assert_eq!(
            evaluated(pool(220, 250), &later),
            [(Part::Whole, 250..300)],
            "its own record shares no time with this one"
        );
        let both = record(90, 300, 3600, 125..150, Some(JENA));
        assert_eq!(evaluated(pool(220, 250), &both), [(Part::Whole, 250..300)]);
        assert_eq!(evaluated(pool(50, 80), &both), [(Part::Whole, 199..300)]);
    }

    #[test]
    fn several_models_are_evaluated_on_what_none_of_them_may_have_been_trained_on() {
        let two = vec![(Part::Validation, 10..20), (Part::Test, 20..40)];
        assert_eq!(common_cases(&[two.clone(), vec![(Part::Whole, 15..30)]]), [15..20, 20..30]);
        assert_eq!(common_cases(&[two.clone(), vec![(Part::Whole, 40..90)]]), []);
        assert_eq!(common_cases(&[two.clone(), Vec::new()]), []);
        assert_eq!(common_cases(&[two]), [10..20, 20..40]);
    }

    #[test]
    fn a_record_of_another_station_or_time_is_evaluated_on_as_a_whole() {
        let elsewhere = Site::new(52.21, 0.09);
        let (kinship, parts) = evaluated(&record(150, 210, 3600, 0..0, Some(elsewhere)), None);
        assert_eq!(parts, [(Part::Whole, 150..210)]);
        assert!(kinship.to_string().ends_with("at another site"), "{kinship}");
        let (kinship, parts) = evaluated(&record(150, 210, 3600, 0..0, None), None);
        assert_eq!(parts, [(Part::Whole, 150..210)]);
        assert!(kinship.to_string().contains("if it is the same station"), "{kinship}");
        let (kinship, parts) = evaluated(&record(201, 210, 3600, 0..0, Some(JENA)), None);
        assert_eq!((kinship, parts), (Kinship::None, vec![(Part::Whole, 201..210)]));
    }
}
