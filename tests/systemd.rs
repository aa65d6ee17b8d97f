//! What the service manager hears, over a real datagram socket.
//!
//! The socket's name stands in the environment, which a process must not change once it has threads: each test starts
//! this test program again, with the environment that it needs and with one of the ignored tests as its task.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use forecastd::health::Health;
use forecastd::systemd::Notifier;

/// What the `task` told the service manager, message by message.
fn heard(task: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    run(task, Some(&path), environment);
    socket.set_nonblocking(true).unwrap();
    let mut messages = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length) = socket.recv(&mut buffer) {
        messages.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    messages
}

fn run(task: &str, socket: Option<&Path>, environment: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", task]).stdout(Stdio::null());
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    if let Some(socket) = socket {
        command.env("NOTIFY_SOCKET", socket);
    }
    command.envs(environment.iter().copied());
    assert!(command.status().unwrap().success(), "{task} failed");
}

#[test]
fn ready_status_and_stopping_are_told_in_order() {
    let expected = ["READY=1\n", "STATUS=3 stations, 2 ready\n", "STOPPING=1\n"];
    assert_eq!(heard("live_and_end", &[]), expected);
}

#[test]
fn without_a_service_manager_nothing_happens() {
    run("live_and_end", None, &[]);
    // A manager that is gone is no reason to fail.
    run("live_and_end", Some(Path::new("/nonexistent/notify")), &[]);
}

#[test]
fn the_watchdog_hears_nothing_unless_it_asked() {
    assert_eq!(heard("turn_for_three_seconds", &[]), [""; 0]);
}

/// Every two seconds at the latest, which is half of the watchdog's four.
#[test]
fn the_watchdog_is_fed_at_half_its_time() {
    let messages = heard("turn_for_three_seconds", &[("WATCHDOG_USEC", "4000000")]);
    assert!(messages.iter().all(|message| message == "WATCHDOG=1\n"), "{messages:?}");
    assert!((2..=4).contains(&messages.len()), "{messages:?}");
}

/// The parts of the daemon give no sign of life for longer than they may: no food, so that systemd restarts it.
#[test]
fn the_watchdog_starves_when_a_part_is_stuck() {
    let messages = heard("be_stuck", &[("WATCHDOG_USEC", "2000000")]);
    assert_eq!(messages, ["WATCHDOG=1\n"]);
}

#[test]
#[ignore = "a task of the tests above"]
fn live_and_end() {
    let notifier = Notifier::from_environment();
    notifier.ready();
    notifier.status("3 stations, 2 ready");
    notifier.stopping();
}

#[test]
#[ignore = "a task of the tests above"]
fn turn_for_three_seconds() {
    let notifier = Notifier::from_environment();
    let health = Health::new();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        health.loop_alive();
        health.worker_alive();
        notifier.watchdog(&health);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "a task of the tests above"]
fn be_stuck() {
    let notifier = Notifier::from_environment();
    let health = Health::new();
    notifier.watchdog(&health);
    // The worker goes on, the loop does not.
    let begin = Instant::now();
    while health.stuck().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(60), "silence is never noticed");
        health.worker_alive();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(health.stuck(), ["the task of readings is stuck"]);
    for _ in 0..20 {
        health.worker_alive();
        notifier.watchdog(&health);
        std::thread::sleep(Duration::from_millis(100));
    }
}
