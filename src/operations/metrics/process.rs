//! Series of this process as Linux accounts for it, under the names that Prometheus' own client libraries give them.
//!
//! The collector of the `prometheus` crate counts processor time in whole seconds, too coarse for a daemon that uses a few
//! milliseconds a minute.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// What `/proc/self/stat` says (`man 5 proc_pid_stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// User and system time, in clock ticks.
    processor_ticks: u64,
    threads: u64,
    /// The start of the process, in clock ticks since the machine's.
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// Parses the file's line. The second field, the name in parentheses, may hold blanks and parentheses of its own.
    fn parse(line: &str) -> Option<Stat> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first field of `rest` is the third of the line.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            processor_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was started, seconds since 1970: the line `btime` of `/proc/stat`.
fn boot_time_s(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Collects the series of this process.
pub(super) struct Process {
    processor_s: Counter,
    open_descriptors: Gauge,
    most_descriptors: Gauge,
    virtual_bytes: Gauge,
    resident_bytes: Gauge,
    started_s: Gauge,
    threads: Gauge,
    boot_time_s: Option<u64>,
}

impl Process {
    /// A collector of the calling process.
    ///
    /// # Errors
    /// None in practice: the names are good ones.
    pub(super) fn new() -> prometheus::Result<Process> {
        Ok(Process {
            processor_s: Counter::new(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )?,
            open_descriptors: Gauge::new("process_open_fds", "Number of open file descriptors.")?,
            most_descriptors: Gauge::new("process_max_fds", "Maximum number of open file descriptors.")?,
            virtual_bytes: Gauge::new("process_virtual_memory_bytes", "Virtual memory size in bytes.")?,
            resident_bytes: Gauge::new("process_resident_memory_bytes", "Resident memory size in bytes.")?,
            started_s: Gauge::new(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )?,
            threads: Gauge::new("process_threads", "Number of OS threads in the process.")?,
            boot_time_s: fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time_s),
        })
    }

    fn gauges(&self) -> [&Gauge; 6] {
        [
            &self.open_descriptors,
            &self.most_descriptors,
            &self.virtual_bytes,
            &self.resident_bytes,
            &self.started_s,
            &self.threads,
        ]
    }

    fn observe(&self, stat: Stat) {
        let ticks = clock_ticks_per_second() as f64;
        let processor_s = stat.processor_ticks as f64 / ticks;
        // Of two scrapes at once, one may have counted more already.
        self.processor_s.inc_by((processor_s - self.processor_s.get()).max(0.0));
        self.threads.set(stat.threads as f64);
        self.virtual_bytes.set(stat.virtual_bytes as f64);
        self.resident_bytes.set(stat.resident_pages as f64 * page_size() as f64);
        if let Some(boot_time_s) = self.boot_time_s {
            self.started_s.set(boot_time_s as f64 + stat.started_ticks as f64 / ticks);
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.processor_s
            .desc()
            .into_iter()
            .chain(self.gauges().into_iter().flat_map(Collector::desc))
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
            self.observe(stat);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // Less the one that the folder is read by.
            self.open_descriptors.set(entries.count().saturating_sub(1) as f64);
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            self.most_descriptors.set(most as f64);
        }
        let gauges = self.gauges().into_iter().flat_map(Collector::collect);
        self.processor_s.collect().into_iter().chain(gauges).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (a ) 9 (b) S 1 42 42 0 -1 4194560 100 0 3 0 250 50 0 0 20 0 7 0 8800 123456789 2048 18446744073709551615";
        let stat = Stat {
            processor_ticks: 300,
            threads: 7,
            started_ticks: 8800,
            virtual_bytes: 123_456_789,
            resident_pages: 2048,
        };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("42 (cut off) S 1 42"), None);
    }

    #[test]
    fn the_machine_says_when_it_was_started() {
        assert_eq!(boot_time_s("cpu  1 2 3\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000));
        assert_eq!(boot_time_s("cpu  1 2 3\n"), None);
    }

    #[test]
    fn processor_time_counts_less_than_a_second() {
        let process = Process::new().unwrap();
        let ticks = clock_ticks_per_second();
        let stat = Stat {
            processor_ticks: ticks / 2,
            threads: 1,
            started_ticks: 0,
            virtual_bytes: 1,
            resident_pages: 1,
        };
        process.observe(stat);
        assert!((process.processor_s.get() - 0.5).abs() < 1e-9);
        // A scrape beside it that saw less takes nothing away.
        process.observe(Stat { processor_ticks: ticks / 4, ..stat });
        assert!((process.processor_s.get() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn this_process_is_running() {
        let families = Process::new().unwrap().collect();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric()[0].get_gauge().get_value()
        };
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_resident_memory_bytes") >= page_size() as f64);
        assert!(value("process_open_fds") >= 1.0 && value("process_open_fds") <= value("process_max_fds"));
        let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(
            value("process_start_time_seconds") > 0.0 && value("process_start_time_seconds") <= now_s + 1.0
        );
    }
}
