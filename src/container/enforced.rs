//! Whether jobs are confined as promised: what the agent read back from the kernel, compared with the promise.

use anyhow::{Context, bail};

use crate::agent::protocol::Enforced;

/// Checks the report of an agent.
///
/// # Errors
/// When something that is promised is not so, with a list.
pub fn check(enforced: &Enforced) -> anyhow::Result<()> {
    // Descriptors cannot cross to another kernel (a virtual machine's, another machine's).
    let own =
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").context("failed to read the boot id")?;
    if enforced.boot_id.trim() != own.trim() {
        bail!(
            "the engine runs on another kernel (a virtual machine or another machine), to which descriptors cannot \
             be passed\n\nhint: use `--engine native`, or a Docker daemon on this machine"
        );
    }
    let missing = missing(enforced);
    if !missing.is_empty() {
        bail!(
            "jobs in the Build container would not be confined as promised: {}\n\nhint: `cargo-sandbox self doctor` \
             shows what this machine offers",
            missing.join("; ")
        );
    }
    Ok(())
}

/// What is promised and not so.
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
    expect("Seccomp", "2");
    if !enforced.landlock_enforced {
        missing.push(format!("Landlock is not in force (the kernel offers level {})", enforced.landlock_abi));
    }
    for name in enforced.interfaces.iter().filter(|name| *name != "lo") {
        missing.push(format!("there is a network interface `{name}`"));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Enforced {
        let caps: String =
            ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000\n")).concat();
        Enforced {
            job_status: format!("Name:\tx\n{caps}NoNewPrivs:\t1\nSeccomp:\t2\n"),
            landlock_enforced: true,
            interfaces: vec!["lo".into()],
            ..Enforced::default()
        }
    }

    #[test]
    fn what_is_promised_passes() {
        assert_eq!(missing(&good()), Vec::<String>::new());
    }

    #[test]
    fn every_missing_promise_is_named() {
        let no_seccomp =
            Enforced { job_status: good().job_status.replace("Seccomp:\t2", "Seccomp:\t0"), ..good() };
        let capable = Enforced { job_status: good().job_status.replacen("00\n", "01\n", 1), ..good() };
        let network = Enforced { interfaces: vec!["lo".into(), "eth0".into()], ..good() };
        let open = Enforced { landlock_enforced: false, ..good() };
        for bad in [no_seccomp, capable, network, open] {
            assert_eq!(missing(&bad).len(), 1, "{:?}", missing(&bad));
        }
        assert_eq!(missing(&Enforced { landlock_enforced: true, ..Enforced::default() }).len(), 7);
    }

    #[test]
    fn another_kernel_is_refused() {
        let error = check(&Enforced { boot_id: "other".into(), ..good() }).unwrap_err();
        assert!(error.to_string().contains("another kernel"), "{error}");
    }
}
