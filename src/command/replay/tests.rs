use clap::Parser;

use super::options::parse_time;
use super::*;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    replay: ReplayOptions,
}

fn options(arguments: &[&str]) -> ReplayOptions {
    let always = ["replay", "--csv", "x.csv"];
    Arguments::parse_from(always.iter().chain(arguments)).replay
}

#[test]
fn the_password_is_the_files_else_the_environments_else_the_addresss() {
    let mut asked = options(&["--broker", "mqtt://roof:argument@h"]);
    let password = |asked: &ReplayOptions| {
        settings(asked).unwrap().resolve_password().unwrap().map(|password| password.reveal().to_owned())
    };
    assert_eq!(password(&asked).as_deref(), Some("argument"));
    asked.password = Some("environment".to_owned().into());
    assert_eq!(password(&asked).as_deref(), Some("environment"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "file\n").unwrap();
    asked.password_file = Some(file.path().to_owned());
    assert_eq!(password(&asked).as_deref(), Some("file"));
    // A broker without users is not troubled with the password of another.
    asked = ReplayOptions { password: Some("environment".to_owned().into()), ..options(&[]) };
    assert_eq!(password(&asked), None);
}

#[test]
fn no_argument_takes_a_password_and_certificates_can_be_given() {
    let refused = Arguments::try_parse_from(["replay", "--csv", "x.csv", "--password", "x"]);
    assert!(refused.is_err());
    let asked = options(&["--broker", "mqtts://h", "--ca-file", "ca.pem"]);
    assert_eq!(settings(&asked).unwrap().ca_file.as_deref(), Some(std::path::Path::new("ca.pem")));
}

#[test]
fn speeds_and_times_are_read() {
    assert_eq!("max".parse(), Ok(Speed::Max));
    assert_eq!("600".parse(), Ok(Speed::Times(600.0)));
    for bad in ["0", "-1", "inf", "NaN", "fast", ""] {
        assert!(bad.parse::<Speed>().is_err(), "{bad}");
    }
    assert_eq!(parse_time("2016-01-01").unwrap().to_string(), "2016-01-01T00:00:00Z");
    assert_eq!(parse_time("2016-01-01T01:00:00+01:00").unwrap().to_string(), "2016-01-01T00:00:00Z");
    assert!(parse_time("yesterday").is_err());
}

#[test]
fn a_reading_goes_out_when_its_distance_to_the_first_has_passed_by_the_speed() {
    let wait = |speed: Speed, behind_s| speed.wait(jiff::SignedDuration::from_secs(behind_s));
    assert_eq!(wait(Speed::Times(12_000.0), 6000), Some(Duration::from_millis(500)));
    assert_eq!(wait(Speed::Times(0.5), 600), Some(Duration::from_secs(1200)));
    assert_eq!(wait(Speed::Times(12_000.0), -600), None, "one that lies before the first");
    assert_eq!(wait(Speed::Max, 6000), None);
}

#[test]
fn the_last_reading_is_of_the_moment_in_which_it_is_sent() {
    let second = |second| Timestamp::from_second(second).unwrap();
    let (start, first, last) = (second(1_000_000), second(0), second(36_000));
    let shifted = |time: Timestamp, speed| time + Rebase::Now.shift(start, first, last, speed);
    assert_eq!(shifted(last, Speed::Max), start);
    assert_eq!(shifted(last, Speed::Times(10.0)), second(1_003_600));
    assert_eq!(shifted(first, Speed::Times(0.5)), start);
}
