//! Which processor a thread runs on, and how much processor time a process has used.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The unit of `/proc/PID/stat`: `USER_HZ`, 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Positions of `utime` and `stime` among the fields that follow the command's name (proc(5)).
const UTIME: usize = 11;

/// Confines the calling thread, and the threads and processes it starts, to some processors.
pub fn pin(processors: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for processor in processors {
        if *processor >= CpuSet::MAX_CPU {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such processor"));
        }
        set.set(*processor);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Runs `work` confined to some processors, then lets the thread run where it could before.
/// What `work` starts stays confined.
pub fn pinned<T>(processors: &[usize], work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    pin(processors)?;
    let done = work();
    sched_setaffinity(None, &before)?;
    done
}

/// The processors that this thread may use, in order.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect())
}

/// Processor seconds, user and system, of all threads of a process.
pub fn cpu_s(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat)
        .map(|ticks| ticks / TICKS_PER_SECOND)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unknown form of /proc/PID/stat"))
}

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no VmRSS in /proc/PID/status"))
}

/// Asks a process that this one started to end.
pub fn terminate(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a process id"))?;
    Ok(kill_process(pid, Signal::TERM)?)
}

fn ticks(stat: &str) -> Option<f64> {
    // The command's name stands in parentheses and may hold anything, spaces too.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(UTIME);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_command_is_called() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1 2 3";
        assert_eq!(ticks(stat), Some(200.0));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert!(cpu_s(std::process::id()).is_ok());
        assert!(resident_bytes(std::process::id()).is_ok_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_pinned_thread_is_released_again() {
        let before = allowed().expect("affinity");
        let inside = pinned(&before[..1], allowed).expect("pinned");
        assert_eq!(inside, [before[0]]);
        assert_eq!(allowed().expect("affinity"), before);
    }
}
