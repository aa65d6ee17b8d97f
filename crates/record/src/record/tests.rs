use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn values(temperature: f32) -> Values {
    let mut values = Values::NONE;
    values.set(Quantity::AirTemperature, temperature);
    values
}

fn record(readings: &[(Timestamp, Values)]) -> Record {
    Record::from_readings(readings, Grid::new(600).unwrap(), &[Quantity::AirTemperature]).unwrap()
}

#[test]
fn parts_follow_each_other_and_targets_stay_within() {
    let readings: Vec<_> = (0..100).map(|hour| (at(hour * 3600), values(hour as f32 / 2.0))).collect();
    let record = record(&readings);
    let split = Split { train: 0.5, validation: 0.25 };
    let [train, validation, test] =
        [Part::Train, Part::Validation, Part::Test].map(|part| record.part(split, part));
    assert_eq!(record.rows_within(&train).len(), 50);
    assert_eq!(record.rows_within(&validation).len(), 25);
    assert_eq!(record.rows_within(&test).len(), 25);
    assert_eq!(train.end, validation.start);
    assert_eq!(validation.end, test.start);
    let learned = |refit| record.learned(split, refit);
    assert_eq!(learned(None), train);
    assert_eq!(learned(Some(Refit::Validation)), train.start..test.start);
    assert_eq!(learned(Some(Refit::Whole)), train.start..test.end);
    assert_eq!(record.target(48 * 6, 1, &train), 24.5);
    assert!(record.target(49 * 6, 1, &train).is_nan(), "the target is of the next part");
    assert_eq!(record.target(49 * 6, 1, &record.part(split, Part::Whole)), 25.0);
}

#[test]
fn what_is_missing_is_counted_though_most_of_it_is() {
    // Four readings in ten hours, 1, 4, 3 and 2 hours apart, each as often as the others.
    let hours = (0..1000).filter(|hour| [0, 1, 5, 8].contains(&(hour % 10)));
    let readings: Vec<_> = hours.map(|hour| (at(hour * 3600), values((hour % 7) as f32))).collect();
    let record = record(&readings);
    assert_eq!(record.cadence_s(), 3600.0);
    let (missing, _) = record.holes(0);
    assert!((missing - 0.6).abs() < 0.01, "{missing}");
}

#[test]
fn order_does_not_matter_and_is_counted() {
    let mut readings: Vec<_> = (0..10).map(|slot| (at(slot * 600), values(slot as f32))).collect();
    let sorted = record(&readings);
    readings.swap(2, 7);
    readings.push(readings[3]);
    let unsorted = record(&readings);
    assert_eq!(sorted.rows(), unsorted.rows());
    assert_eq!(sorted.facts().quality.unsorted, 0);
    assert!(unsorted.facts().quality.unsorted > 0);
    assert_eq!(unsorted.facts().quality.repeated, 1);
    for slot in 0..10 {
        let value = |record: &Record| record.history().value(slot, Quantity::AirTemperature);
        assert_eq!(value(&sorted), value(&unsorted));
    }
}

#[test]
fn files_that_are_nothing_to_work_with_are_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    let quantities = [Quantity::AirTemperature, Quantity::AirPressure];
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let source = RecordSource::new(path.clone(), None);
        let record = Record::read(&source, Grid::new(600).unwrap(), &quantities);
        record.map(|record| record.rows().len()).map_err(|error| error.to_string())
    };
    let header = "Date Time,p (mbar),T (degC)\n";
    assert!(read("").unwrap_err().contains("a header line is needed"));
    assert!(read(header).unwrap_err().contains("no reading in it"));
    let broken = read(&format!("{header}yesterday,1,2\n")).unwrap_err();
    assert!(broken.contains("no reading in it; first fault") && broken.contains(":2: "), "{broken}");
    let one = "01.01.2009 00:20:00,996.5,1.5\n";
    let texts = "01.01.2009 00:10:00,high,warm\n".repeat(3);
    let mixed = read(&format!("{header}{texts}{one}")).unwrap_err();
    assert!(mixed.contains("3 of 4 rows") && mixed.contains("\"high\", not a number"), "{mixed}");
    let commas = "01.01.2009 00:10:00,\"996,5\",\"1,25\"\n";
    assert_eq!(read(&format!("{header}{commas}{one}")).unwrap(), 2, "decimal commas in quotes are read");
    let constant = read(&format!("{header}{one}01.01.2009 00:30:00,996.6,1.5\n")).unwrap_err();
    assert!(constant.contains("1.5 °C in all 2 readings"), "{constant}");
    let no_pressure = read("Date Time,T (degC)\n01.01.2009 00:10:00,1\n01.01.2009 00:20:00,2\n");
    assert!(no_pressure.unwrap_err().contains("no reading of air_pressure"));
    let kelvin = read(&format!("{header}01.01.2009 00:10:00,996.5,281.1\n01.01.2009 00:20:00,996.5,281.3\n"));
    let kelvin = kelvin.unwrap_err();
    assert!(kelvin.contains("2 values of air_temperature dropped, outside of -90 to 60 °C"), "{kelvin}");
    let open =
        read(&format!("{header}{one}01.01.2009 00:30:00,\"996.6,1.4\n01.01.2009 00:40:00,996.6,1.3\n"));
    assert_eq!(open.unwrap(), 2, "a quote that is not closed costs its row");
    let split = read(&format!("{header}{}", "01.01.2009 00:10:00,996,5,1,5\n".repeat(3))).unwrap_err();
    assert!(split.contains(":2: 5 cells where the header has 3; decimal commas?"), "{split}");
    let ahead = read(&format!("{header}{one}01.01.9009 00:30:00,996.6,1.4\n"));
    assert_eq!(ahead.unwrap(), 1, "a year that has not come is left out");
    std::fs::write(
        &path,
        format!("{header}{one}01.01.2009 00:30:00,996.6,1.4\n{}", one.replace("2009", "1991")),
    )
    .unwrap();
    let source = RecordSource::new(path.clone(), None);
    let span = Record::read(&source, Grid::new(60).unwrap(), &quantities).unwrap_err().to_string();
    assert!(span.contains("is a time wrong, or the grid too fine?"), "{span}");
    std::fs::write(&path, format!("{header}{one}01.01.2009 00:30:00,996.6,1.4\nbroken\n")).unwrap();
    let source = RecordSource::new(path.clone(), None);
    let good = Record::read(&source, Grid::new(600).unwrap(), &quantities).unwrap();
    assert_eq!(good.facts().quality.broken, 1);
    assert_eq!(good.facts().file, "record.csv");
    assert_eq!(good.site().unwrap().latitude_deg, 50.91);
}

#[test]
fn a_hole_of_two_months_in_half_a_year_is_named_with_its_times() {
    // 2024, from the beginning of January to the end of June, without March and April.
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let is_there = |day: i64| !(60..121).contains(&day);
    let hours = (0..182 * 24).filter(|hour| is_there(hour / 24));
    let readings: Vec<_> = hours
        .map(|hour| (at(start.as_second() + hour * 3600), values(10.0 + 5.0 * (hour as f32 * 0.2618).sin())))
        .collect();
    let quality = record(&readings).facts().quality.clone();
    let hole = "no temperature for 61 days, from 2024-02-29T23:00:00Z to 2024-05-01T00:00:00Z";
    assert_eq!(quality.to_string(), hole);
    assert!(!quality.is_empty());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.csv");
    let row = |(time, values): &(Timestamp, Values)| {
        format!("{time},{}\n", values.get(Quantity::AirTemperature).unwrap())
    };
    let text: String = readings.iter().map(row).collect();
    std::fs::write(&path, format!("time,air_temperature_c\n{text}")).unwrap();
    let source = RecordSource::new(path, None);
    let of_file = Record::read(&source, Grid::new(3600).unwrap(), &[Quantity::AirTemperature]).unwrap();
    assert_eq!(of_file.facts().quality.to_string(), hole, "as that of readings");
}

#[test]
fn of_many_holes_the_longest_are_named_and_the_others_counted() {
    // Holes of 8 to 12 days, with two days of readings between, and one of a day that is not worth a word.
    let days = [0, 1, 2, 11, 12, 22, 23, 34, 35, 47, 48, 61, 62, 64];
    let hours = days.iter().flat_map(|day| (0..24).map(move |hour| day * 24 + hour));
    let readings: Vec<_> = hours.map(|hour| (at(hour * 3600), values((hour % 7) as f32))).collect();
    let said = record(&readings).facts().quality.to_string();
    let clauses: Vec<&str> = said.split("; ").collect();
    assert_eq!(clauses.len(), 4, "{said}");
    let days: Vec<&str> = clauses[..3].iter().map(|clause| clause.split(' ').nth(3).unwrap()).collect();
    assert_eq!(days, ["10", "11", "12"], "in the order of time: {said}");
    assert_eq!(clauses[3], "2 more such holes of more than a week");
}
