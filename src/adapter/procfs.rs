//! What the kernel says of this process (proc(5)).

use std::path::Path;

use super::files::read_bounded;
use crate::base::process::ProcessFigures;

/// Bytes of one of these files. `/proc/stat` has a line for each processor and one for all interrupts.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// The unit of times, which the kernel reports as 100 per second on every architecture that we build for.
const TICKS: f64 = 100.0;

/// Reads them: four small files and one folder, some 50 µs.
pub(crate) fn figures() -> ProcessFigures {
    let stat = text("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold blanks. Of what follows, the state is field 3.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |number: usize| after_name.split_ascii_whitespace().nth(number - 3)?.parse().ok();
    let seconds = |number: usize| field(number).map(|ticks: f64| ticks / TICKS);
    let sum = |(a, b): (f64, f64)| a + b;
    let status = text("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| number(&status, name).map(|kib| kib * 1024.0);
    let boot = || number(&text("/proc/stat")?, "btime");
    ProcessFigures {
        cpu_seconds: seconds(14).zip(seconds(15)).map(sum),
        max_fds: text("/proc/self/limits").and_then(|limits| number(&limits, "Max open files")),
        open_fds: open_fds(),
        resident_bytes: kib("VmRSS:"),
        start_seconds: seconds(22).zip(boot()).map(sum),
        virtual_bytes: kib("VmSize:"),
    }
}

fn text(path: &str) -> Option<String> {
    String::from_utf8(read_bounded(Path::new(path), FILE_BYTES_MAX).ok()?).ok()
}

/// The first number after a name that begins a line.
fn number(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    match value.split_ascii_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        digits => digits.parse().ok(),
    }
}

fn open_fds() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The one that reads the folder is gone by now.
    count.checked_sub(1).and_then(|count| u32::try_from(count).ok()).map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let figures = figures();
        let of = |value: Option<f64>| value.unwrap();
        assert!((0.0..1e6).contains(&of(figures.cpu_seconds)), "{figures:?}");
        assert!((1e6..1e11).contains(&of(figures.resident_bytes)), "{figures:?}");
        assert!(figures.virtual_bytes >= figures.resident_bytes, "{figures:?}");
        assert!((3.0..of(figures.max_fds)).contains(&of(figures.open_fds)), "{figures:?}");
        let now = crate::adapter::clock::Clock::start().wall().seconds();
        let age = f64::from(u32::try_from(now).unwrap()) - of(figures.start_seconds);
        assert!((-2.0..86_400.0).contains(&age), "{age} s old: {figures:?}");
        let _held = std::fs::File::open("/proc/self/stat").unwrap();
    }

    #[test]
    fn what_is_not_there_is_absent() {
        assert_eq!(number("VmSize:\t 12 kB\nVmRSS:\t x kB\n", "VmSize:"), Some(12.0));
        assert_eq!(number("VmRSS:\t x kB\n", "VmRSS:"), None);
        assert_eq!(number("", "btime"), None);
        assert_eq!(number("Max open files  unlimited  5", "Max open files"), Some(f64::INFINITY));
        assert_eq!(text("/proc/self/absent"), None);
    }
}
