use super::*;

fn row(tmy: u8, step_h: i64, rows: usize) -> Row {
    Row {
        id: "a".to_owned(),
        name: "A".to_owned(),
        group: "G".to_owned(),
        latitude_deg: 40.0,
        longitude_deg: -105.0,
        elevation_m: Some(1600.0),
        first_unix_s: 946_684_800,
        rows,
        tmy,
        step_h,
    }
}

/// Columns of a station with nothing but temperatures, in tenths of a degree.
fn columns(temperatures: &[i16]) -> Vec<Vec<i16>> {
    let mut columns = vec![vec![MISSING; temperatures.len()]; COLUMNS.len()];
    columns[0] = temperatures.to_vec();
    columns
}

fn wave(hour: usize) -> i16 {
    (100.0 + 50.0 * (hour as f64 * 0.2618).sin()) as i16
}

#[test]
fn a_column_is_the_sum_of_its_differences_and_wraps() {
    let differences: Vec<i16> = vec![100, 5, -7, MISSING.wrapping_sub(98), 50_i16.wrapping_sub(MISSING)];
    let bytes: Vec<u8> = differences.iter().flat_map(|difference| difference.to_le_bytes()).collect();
    let column = read_column(&mut &bytes[..], 5).unwrap();
    assert_eq!(column, [100, 105, 98, MISSING, 50]);
    assert!(read_column(&mut &bytes[..], 6).is_err());
}

/// A folder of two stations of three hours each.
fn folder(second: &str) -> tempfile::TempDir {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let list = format!(
        "id,name,group,latitude_deg,longitude_deg,elevation_m,first_unix_s,rows,tmy,step_h\n\
         a,A,G,40,-105,,946684800,3,0,1\n{second}"
    );
    std::fs::write(folder.path().join("stations.csv"), list).unwrap();
    let file = File::create(folder.path().join("hourly.bin.xz")).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new(file, 1);
    encoder.write_all(&[0; 2 * 3 * COLUMNS.len() * 2]).unwrap();
    encoder.finish().unwrap();
    folder
}

#[test]
fn a_list_that_is_not_of_the_numbers_beside_it_is_refused() {
    let read = |second: &str| {
        let folder = folder(second);
        let pool = Pool::read(&[folder.path().display().to_string()], &[]);
        pool.map(|pool| pool.stations.len()).map_err(|error| error.to_string())
    };
    assert_eq!(read("b,B,G,41,-105,,946684800,3,0,1\n"), Ok(2));
    for (second, said) in [
        ("", "goes on after the last station"),
        ("b,B,G,41,-105,,946684800,2,0,1\n", "goes on after the last station"),
        ("b,B,G,41,-105,,946684800,4,0,1\n", "ends within station b"),
        ("b,B,G,41,-105,,946684800,3,0,0\n", "station b: step_h 0 is not within 1 to 24"),
        ("b,B,G,41,-105,,946684800,9223372036854775807,0,1\n", "station b: 9223372036854775807 rows"),
        ("b,B,G,41,-105,,9223372036854775807,3,0,1\n", "is no time"),
    ] {
        let error = read(second).unwrap_err();
        assert!(error.contains(said), "{error}, not {said}");
    }
}

#[test]
fn another_mapping_of_a_record_makes_another_pool() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("roof.csv");
    let rows = (0..48).map(|hour| {
        let time = Timestamp::from_second(946_684_800 + 3600 * hour).unwrap();
        format!("{time},{:.1}\n", 10.0 + (hour % 24) as f64 / 4.0)
    });
    std::fs::write(&csv, format!("time,air_temperature_c\n{}", rows.collect::<String>())).unwrap();
    let mapping = folder.path().join("roof.toml");
    let pool = |latitude_deg: f64| {
        let text = format!(
            "time = {{ column = \"time\" }}\nsite = {{ latitude_deg = {latitude_deg}, longitude_deg = 11.0 }}\n\
             [[value]]\ncolumn = \"air_temperature_c\"\nquantity = \"temperature\"\nunit = \"°C\"\n"
        );
        std::fs::write(&mapping, text).unwrap();
        Pool::read(&[format!("{}={}", csv.display(), mapping.display())], &[]).unwrap()
    };
    let (one, other) = (pool(50.0), pool(51.0));
    assert_eq!(one.stations[0].site.latitude_deg, 50.0);
    assert_ne!(one.sha256(), other.sha256());
}

#[test]
fn a_reading_of_a_record_is_learned_from_at_its_own_minute() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("roof.csv");
    let times: Vec<Timestamp> =
        (0..48).map(|hour| Timestamp::from_second(946_684_800 + 3600 * hour + 40 * 60).unwrap()).collect();
    let row = |(hour, time): (usize, &Timestamp)| format!("{time},{:.1}\n", 10.0 + (hour % 24) as f64 / 4.0);
    let rows: String = times.iter().enumerate().map(row).collect();
    std::fs::write(&csv, format!("time,air_temperature_c\n{rows}")).unwrap();
    let mapping = folder.path().join("roof.toml");
    std::fs::write(
        &mapping,
        "time = { column = \"time\" }\nsite = { latitude_deg = 50, longitude_deg = 11 }\n\
         [columns]\nair_temperature_c = { quantity = \"temperature\", unit = \"°C\" }\n",
    )
    .unwrap();
    let pool = Pool::read(&[format!("{}={}", csv.display(), mapping.display())], &[]).unwrap();
    let segment = &pool.stations[0].segments[0];
    let learned: Vec<Timestamp> =
        segment.origins.iter().map(|&slot| segment.history.grid().time(slot)).collect();
    assert!(!learned.is_empty());
    assert_eq!(learned, times[..learned.len()]);
    assert_eq!(pool.span(), Some((times[0], learned[learned.len() - 1])));
}

#[test]
fn no_window_of_a_typical_year_crosses_a_splice() {
    let mut temperatures: Vec<i16> = (0..300).map(wave).collect();
    temperatures[144..156].fill(MISSING);
    let station_of = |tmy| station(row(tmy, 1, 300), &columns(&temperatures), &[]).unwrap();
    let spliced = station_of(1);
    assert_eq!(spliced.segments.len(), 2);
    assert_eq!((spliced.segments[0].origins.len(), spliced.segments[1].origins.len()), (144, 144));
    let actual = station_of(0);
    assert_eq!(actual.segments.len(), 1);
}

#[test]
fn of_hours_that_were_interpolated_none_is_an_origin() {
    let temperatures: Vec<i16> = (0..48).map(wave).collect();
    let station = station(row(0, 3, 48), &columns(&temperatures), &[]).unwrap();
    assert!(station.segments[0].origins.iter().all(|slot| slot % 3 == 0));
    assert_eq!(station.segments[0].origins.len(), 16);
}

#[test]
fn what_is_evaluated_on_is_not_trained_on_nearby() {
    let temperatures: Vec<i16> = (0..48).map(wave).collect();
    let embargo = |longitude_deg| Embargo {
        site: Site::new(40.0, longitude_deg),
        within_km: 100.0,
        from_s: 946_684_800 + 24 * 3600,
        until_s: i64::MAX,
    };
    let origins = |embargo| station(row(0, 1, 48), &columns(&temperatures), &[embargo]).unwrap().origins();
    assert_eq!(origins(embargo(-105.5)), 24);
    assert_eq!(origins(embargo(-100.0)), 48);
}
