//! What is said of a job that a limit has ended.

use crate::agent::protocol::Exceeded;
use crate::policy::layers::{Place, Policy, Source};
use crate::policy::limits::LimitName;

use super::identify::{Job, JobKind};

/// What a job did that a limit has ended.
pub fn what(exceeded: Exceeded) -> String {
    match exceeded {
        Exceeded::Memory { .. } => "there was no memory left".to_owned(),
        Exceeded::Processes { found, .. } => format!("it had {found} processes and threads"),
        Exceeded::FileSize { .. } => "it wrote too large a file".to_owned(),
        Exceeded::DiskWrites { .. } => "it wrote too much to disk".to_owned(),
        Exceeded::FreeSpace { free, .. } => {
            let free = LimitName::FreeSpace.show(free >> 20 << 20);
            format!("only {free} were left on the disk that it writes to")
        }
        Exceeded::Time { .. } => "it ran for too long".to_owned(),
    }
}

/// Which job, which limit, and how to raise it.
pub fn explain(policy: &Policy, job: &Job, exceeded: Exceeded) -> String {
    let job_name = format!("{} of {}", job.kind.name(), job.package);
    let tests = job.kind == JobKind::Rustdoc && job.spec.argv.iter().any(|word| word == b"--test");
    let (limit, value) = limit_of(job.kind == JobKind::Program || tests, exceeded);
    let allowed = value.map_or_else(String::new, |value| format!(", which is {}", limit.show(value)));
    let more = value.map_or_else(|| "VALUE".to_owned(), |value| limit.show(value.saturating_mul(2)));
    let what = what(exceeded);
    let by_repository = policy.origin(limit).filter(|place| place.source == Some(Source::Repository));
    let by_policy = by_policy(job, exceeded);
    if let Some((limit, value, place)) =
        by_policy.or_else(|| by_repository.and_then(|place| Some((limit, value?, place))))
    {
        let value = limit.show(value);
        let advice = match exceeded {
            Exceeded::FreeSpace { .. } => "make room on that disk, or let less stay free there",
            _ => "if that is what it should do, allow more there",
        };
        return format!(
            "the {job_name} was stopped: {what}\nthe limit is `{limit}`, which is {value} by {place}\n\nhint: {advice}"
        );
    }
    let advice = match exceeded {
        Exceeded::FreeSpace { .. } => "make room on that disk, or let less stay free: ".to_owned(),
        Exceeded::Memory { .. } => "build with fewer jobs at once (`-j 1`), or allow more: ".to_owned(),
        _ => "if that is what it should do, allow more: ".to_owned(),
    };
    let option = match exceeded {
        Exceeded::FreeSpace { limit, .. } => LimitName::FreeSpace.show(limit / 2),
        _ => more,
    };
    format!(
        "the {job_name} was stopped: {what}\nthe limit is `{limit}`{allowed}\n\nhint: {advice}`cargo-sandbox \
         --sandbox-limit {limit}={option} …`, or `[limits]` in your configuration"
    )
}

/// The limit of a policy's that has ended a job, if it was one. The kernel's own word on a file's size and the
/// container's on its memory do not say whose limit it was: the lower one ends first.
fn by_policy(job: &Job, exceeded: Exceeded) -> Option<(LimitName, u64, &Place)> {
    let (name, said) = match exceeded {
        Exceeded::Time { seconds } => (LimitName::WallTime, Some(seconds)),
        Exceeded::FileSize { .. } => (LimitName::FileSize, None),
        other => limit_of(false, other),
    };
    let (_, value, place) = job.limited.iter().find(|(limited, ..)| *limited == name)?;
    let value = (*value)?;
    (said.is_none_or(|said| said == value)).then_some((name, value, place))
}

fn limit_of(program: bool, exceeded: Exceeded) -> (LimitName, Option<u64>) {
    match exceeded {
        Exceeded::Memory { limit } => (LimitName::Memory, limit),
        Exceeded::Processes { limit, .. } => (LimitName::Processes, Some(limit)),
        Exceeded::FileSize { limit } => (LimitName::FileSize, limit),
        Exceeded::DiskWrites { limit } => (LimitName::DiskWrites, Some(limit)),
        Exceeded::FreeSpace { limit, .. } => (LimitName::FreeSpace, Some(limit)),
        Exceeded::Time { seconds } => {
            (if program { LimitName::ProgramTime } else { LimitName::WallTime }, Some(seconds))
        }
    }
}
