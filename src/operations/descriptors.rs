//! File descriptors: as many as the system grants, and shares of them, so that broker and journal always find one.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// The part of all descriptors that HTTP connections may hold.
const HTTP_SHARE: u64 = 4;

/// Raises the soft limit of open descriptors to the hard one and returns the limit that holds then; none where there is no
/// limit.
///
/// The soft limit is often 1024 for the sake of programs that use `select(2)`, which this one does not.
///
/// # Errors
/// The system's error when the limit cannot be set.
pub fn raise_limit() -> io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current)
}

/// The number of HTTP connections to allow where `wanted` are configured: at most a quarter of the descriptors that this
/// process may open, and at least one.
pub fn http_connections(wanted: usize) -> usize {
    within(wanted, getrlimit(Resource::Nofile).current)
}

fn within(wanted: usize, descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(u64::MAX, |limit| limit / HTTP_SHARE);
    wanted.min(usize::try_from(share).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_more_than_a_quarter_of_the_descriptors() {
        assert_eq!(within(64, None), 64);
        assert_eq!(within(64, Some(1024)), 64);
        assert_eq!(within(4096, Some(1024)), 256);
        assert_eq!(within(64, Some(100)), 25);
        assert_eq!(within(64, Some(3)), 1);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise_limit().unwrap(), hard);
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
