//! Whether jobs are confined as promised: what the agent read back from the kernel, compared with the promise.

use std::collections::BTreeSet;
use std::io;

use anyhow::{Context, bail};

use crate::agent::SCOPING_LANDLOCK_ABI;
use crate::agent::protocol::{Enforced, SUBREAPER};
use crate::policy::bar::{self, Bar, Weakness};
use crate::switch_off::{Defence, is_off};

/// What tells one start of a kernel from every other (random(4)).
///
/// # Errors
/// When the kernel does not say.
pub(super) fn boot_id() -> io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

/// Checks the report of an agent. Returns what is missing and may be.
///
/// # Errors
/// When something that is promised is not so, with a list.
pub fn check(enforced: &Enforced, bar: &Bar, host_network: bool) -> anyhow::Result<BTreeSet<Weakness>> {
    // Descriptors cannot cross to another kernel (a virtual machine's, another machine's).
    if enforced.boot_id.trim() != boot_id().context("failed to read the boot id")? {
        bail!(
            "the engine runs on another kernel (a virtual machine or another machine), to which descriptors cannot \
             be passed\n\nhint: use `--engine native`, or a Docker daemon on this machine"
        );
    }
    let mut missing = missing(enforced);
    if !host_network {
        missing.extend(interfaces(enforced));
    }
    if !missing.is_empty() {
        bail!(
            "jobs in the Build container would not be confined as promised: {}\n\nhint: `cargo-sandbox self doctor` \
             shows what this machine offers",
            missing.join("; ")
        );
    }
    let weaknesses = weaknesses(enforced);
    if let Some(weakness) = weaknesses.iter().find(|weakness| !bar.allows(**weakness)) {
        bail!(
            "jobs in the Build container would not be confined as promised: {weakness}\n\n{}\n{}",
            remedy(*weakness),
            bar::hint(*weakness)
        );
    }
    if weaknesses.contains(&Weakness::Landlock) && weaknesses.contains(&Weakness::JobNamespaces) {
        bail!(
            "jobs in the Build container would have neither Landlock nor namespaces of their own, so that one could take \
             the agent's place\n\n{}",
            remedy(Weakness::JobNamespaces)
        );
    }
    Ok(weaknesses)
}

/// What would make it whole.
fn remedy(weakness: Weakness) -> &'static str {
    match weakness {
        Weakness::Landlock | Weakness::LandlockLevel => {
            "hint: use Linux 6.2 or newer, with `landlock` in `/sys/kernel/security/lsm`"
        }
        Weakness::JobNamespaces => {
            "hint: the engine's AppArmor profile or seccomp filter refuses namespaces and mounts inside of containers; \
             `--engine native` needs neither"
        }
    }
}

/// What is promised, not so, and may be allowed to be missing.
pub fn weaknesses(enforced: &Enforced) -> BTreeSet<Weakness> {
    let landlock = Weakness::of_landlock(enforced.landlock_abi);
    // With the later Landlock, jobs that share a process namespace can neither signal nor look into each other.
    let apart = enforced.process_tree != SUBREAPER || enforced.landlock_abi >= SCOPING_LANDLOCK_ABI;
    let tree = (!apart).then_some(Weakness::JobNamespaces);
    landlock.into_iter().chain(tree).collect()
}

/// What is promised and not so, whatever the user allows.
pub fn missing(enforced: &Enforced) -> Vec<String> {
    let mut missing = Vec::new();
    let field = |name: &str| {
        enforced.job_status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let mut expect = |name: &str, value: &str| {
        let found = field(name).unwrap_or("not said");
        if found != value {
            missing.push(format!("{name} is {found} instead of {value}"));
        }
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        expect(set, "0000000000000000");
    }
    expect("NoNewPrivs", "1");
    if !is_off(Defence::JobFilter) {
        expect("Seccomp", "2");
    }
    if !enforced.landlock_enforced && enforced.landlock_abi > 0 && !is_off(Defence::JobLandlock) {
        missing.push(format!("Landlock is not in force (the kernel offers level {})", enforced.landlock_abi));
    }
    missing
}

/// The interfaces of a container that has no network, if it has one.
pub fn interfaces(enforced: &Enforced) -> Vec<String> {
    let others = enforced.interfaces.iter().filter(|name| *name != "lo");
    others.map(|name| format!("there is a network interface `{name}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_missing(enforced: &Enforced) -> Vec<String> {
        [missing(enforced), interfaces(enforced)].concat()
    }

    fn good() -> Enforced {
        let caps: String =
            ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000\n")).concat();
        Enforced {
            job_status: format!("Name:\tx\n{caps}NoNewPrivs:\t1\nSeccomp:\t2\n"),
            landlock_abi: 7,
            landlock_enforced: true,
            interfaces: vec!["lo".into()],
            ..Enforced::default()
        }
    }

    #[test]
    fn what_is_promised_passes() {
        assert_eq!(all_missing(&good()), Vec::<String>::new());
    }

    #[test]
    fn every_missing_promise_is_named() {
        let no_seccomp =
            Enforced { job_status: good().job_status.replace("Seccomp:\t2", "Seccomp:\t0"), ..good() };
        let capable = Enforced { job_status: good().job_status.replacen("00\n", "01\n", 1), ..good() };
        let network = Enforced { interfaces: vec!["lo".into(), "eth0".into()], ..good() };
        let open = Enforced { landlock_enforced: false, ..good() };
        for bad in [no_seccomp, capable, network, open] {
            assert_eq!(all_missing(&bad).len(), 1, "{:?}", all_missing(&bad));
        }
        assert_eq!(all_missing(&Enforced { landlock_enforced: true, ..Enforced::default() }).len(), 7);
    }

    #[test]
    fn another_kernel_is_refused() {
        let error =
            check(&Enforced { boot_id: "other".into(), ..good() }, &Bar::default(), false).unwrap_err();
        assert!(error.to_string().contains("another kernel"), "{error}");
    }

    #[test]
    fn what_is_weaker_is_refused_unless_the_user_allows_it() {
        let here = Enforced { boot_id: boot_id().unwrap(), ..good() };
        let none = Enforced { landlock_abi: 0, landlock_enforced: false, ..here.clone() };
        let old = Enforced { landlock_abi: 2, ..here.clone() };
        let scoped = Enforced { process_tree: SUBREAPER.into(), ..here.clone() };
        let flat = Enforced { landlock_abi: 5, ..scoped.clone() };
        for whole in [&here, &scoped] {
            assert_eq!(check(whole, &Bar::default(), false).unwrap(), BTreeSet::new());
        }
        for (enforced, weakness) in
            [(none, Weakness::Landlock), (old, Weakness::LandlockLevel), (flat, Weakness::JobNamespaces)]
        {
            let error = check(&enforced, &Bar::default(), false).unwrap_err().to_string();
            assert!(error.contains(weakness.name()) && error.contains("hint: "), "{error}");
            let allowed = BTreeSet::from([weakness]);
            assert_eq!(check(&enforced, &Bar::new(&allowed, true), false).unwrap(), allowed);
        }
        // Of these two one has to be there: only they keep the agent's socket from jobs.
        let both = [Weakness::Landlock, Weakness::JobNamespaces];
        let neither = Enforced { landlock_abi: 0, process_tree: SUBREAPER.into(), ..here };
        assert!(check(&neither, &Bar::new(&both.into(), true), false).is_err());
    }
}
