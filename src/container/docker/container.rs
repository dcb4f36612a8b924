//! What an engine is asked for: a [`ContainerSpec`] in the words of the API.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use rustix::process::{Resource, getrlimit};

use super::connection::{Flavour, Users};
use super::libraries::Libraries;
use super::{labels, mounts, seccomp};
use crate::agent::protocol::AGENT_SOCKET;
use crate::agent::{AGENT_ARGUMENT, AgentConfig};
use crate::container::spec::KILLED_FIRST;
use crate::container::{ContainerSpec, EngineError, Image, Mount};

/// Where the container's own directory ([`ContainerSpec::directory`]) is inside.
pub(super) const RUN: &str = "/.cargo-sandbox/run";
/// Where the agent's loader and libraries are inside.
pub(super) const LIBRARIES: &str = "/.cargo-sandbox/lib";
/// The agent itself, inside.
pub(super) const AGENT: &str = "/.cargo-sandbox/agent";

/// The kernel's default ceiling of open files; a limit beyond it is refused.
const MOST_OPEN_FILES: u64 = 1 << 20;

/// The kernel's default ceiling of process numbers, if it does not tell.
const MOST_PROCESSES: u64 = 1 << 15;

/// What the loader would obey before the agent runs: an image may set it, and then its own files would run as
/// the agent. An empty value counts as none.
const LOADER_VARIABLES: &[&str] =
    &["LD_PRELOAD=", "LD_LIBRARY_PATH=", "LD_AUDIT=", "LD_DEBUG=", "GLIBC_TUNABLES="];

/// A container that can be asked for, and what is to be found in it.
#[derive(Debug)]
pub(super) struct Request {
    pub body: ContainerCreateBody,
    /// Every bind mount, with what is writable.
    pub mounts: Vec<Mount>,
    /// User and group inside.
    pub user: (u32, u32),
}

/// Puts `spec` into the words of the API.
///
/// # Errors
/// When a mount cannot be made as described, or the profile cannot be written for an engine that reads a file.
pub(super) fn request(
    spec: &ContainerSpec,
    image: String,
    libraries: &Libraries,
    flavour: Flavour,
    users: Users,
) -> Result<Request, EngineError> {
    let user = match users {
        Users::RootIsCaller => (0, 0),
        Users::Same => (spec.uid, spec.gid),
    };
    let mut binds = mounts::resolve(&spec.mounts)?;
    if flavour == Flavour::Podman {
        binds.extend(etc_files(&binds));
    }
    binds.extend(own_mounts(spec, libraries));
    let body = ContainerCreateBody {
        image: Some(image),
        user: Some(format!("{}:{}", user.0, user.1)),
        hostname: Some("cargo-sandbox".into()),
        labels: Some(labels::of(spec)),
        entrypoint: Some(command(spec, libraries)?),
        cmd: Some(Vec::new()),
        env: Some(LOADER_VARIABLES.iter().map(ToString::to_string).collect()),
        working_dir: Some("/".into()),
        // An image's own would start programs in here from time to time.
        healthcheck: matches!(spec.image, Image::Named(_) | Image::Built(_) | Image::Extended(..))
            .then(|| HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        network_disabled: can_be_without_network(spec, &binds, flavour).then_some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host_config(spec, &binds, flavour, users, user.0)?),
        ..Default::default()
    };
    Ok(Request { body, mounts: binds, user })
}

/// Whether the container needs no network of Docker's, not even the one called `none`, for which Docker starts a program of its
/// own each time: half of a start. What runs the container makes it a namespace with nothing but a loopback all the same, which
/// `verify` looks at. Docker's files in `/etc` (`hosts`) are missing then, so that a mount has to bring them.
fn can_be_without_network(spec: &ContainerSpec, binds: &[Mount], flavour: Flavour) -> bool {
    flavour == Flavour::Docker
        && !spec.host_network
        && binds.iter().any(|mount| mount.target == Path::new("/etc"))
}

/// Binds of single files of `/etc`, where a mount brings one. Podman puts files of its own there, made from the
/// image and from the host's, unless it finds that very file among the mounts.
fn etc_files(binds: &[Mount]) -> Vec<Mount> {
    let etc = binds.iter().find(|mount| mount.target == Path::new("/etc"));
    let names = ["passwd", "group", "hosts", "hostname", "resolv.conf"];
    let files = etc.into_iter().flat_map(|etc| {
        names.map(|name| Mount {
            source: etc.source.join(name),
            target: etc.target.join(name),
            writable: false,
        })
    });
    files.filter(|mount| mount.source.is_file()).collect()
}

/// The agent, what it needs, and its directory.
fn own_mounts(spec: &ContainerSpec, libraries: &Libraries) -> Vec<Mount> {
    let read_only = |source, target: String| Mount { source, target: target.into(), writable: false };
    let files = libraries.files.iter();
    let mut mounts: Vec<Mount> =
        files.map(|(name, path)| read_only(path.clone(), format!("{LIBRARIES}/{name}"))).collect();
    mounts.push(read_only(spec.agent.clone(), AGENT.into()));
    mounts.push(Mount { source: spec.directory(), target: RUN.into(), writable: true });
    mounts
}

/// The agent's command line: through its own loader, so that the image's libraries play no part.
fn command(spec: &ContainerSpec, libraries: &Libraries) -> Result<Vec<String>, EngineError> {
    let user = Some((spec.uid, spec.gid));
    let config = AgentConfig { user, ..spec.agent_config(format!("{RUN}/{AGENT_SOCKET}").into()) };
    let config = serde_json::to_string(&config)
        .map_err(|error| EngineError::failed(format!("cannot write the agent's configuration: {error}")))?;
    let mut command = Vec::new();
    if let Some(loader) = &libraries.loader {
        command.extend([format!("{LIBRARIES}/{loader}"), "--library-path".into(), LIBRARIES.into()]);
    }
    command.extend([AGENT.into(), AGENT_ARGUMENT.into(), config]);
    Ok(command)
}

fn host_config(
    spec: &ContainerSpec,
    binds: &[Mount],
    flavour: Flavour,
    users: Users,
    uid: u32,
) -> Result<HostConfig, EngineError> {
    let memory = i64::try_from(spec.limits.memory).unwrap_or(i64::MAX);
    let tmpfs = format!("rw,exec,nosuid,nodev,size={},mode=1777", spec.limits.tmp);
    Ok(HostConfig {
        network_mode: Some(if spec.host_network { "host" } else { "none" }.into()),
        // The engine writes the host's name servers into the container otherwise, though it has no network.
        dns: (flavour == Flavour::Docker && !spec.host_network).then(|| vec!["127.0.0.1".into()]),
        dns_search: (flavour == Flavour::Docker && !spec.host_network).then(|| vec![".".into()]),
        readonly_rootfs: Some(true),
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(security_options(spec, flavour)?),
        cap_add: Some(added_capabilities(uid)),
        // The agent makes a fresh `/proc` for each job, in namespaces of its own, and mounts it read-only. The
        // kernel allows that only where nothing of the container's own `/proc` is covered, as engines do by
        // default.
        masked_paths: Some(Vec::new()),
        readonly_paths: Some(Vec::new()),
        tmpfs: Some(HashMap::from([("/tmp".into(), tmpfs)])),
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(i64::try_from(spec.limits.pids).unwrap_or(i64::MAX)),
        ulimits: Some(ulimits(flavour)),
        oom_score_adj: Some(KILLED_FIRST.into()),
        ipc_mode: Some("private".into()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        userns_mode: match users {
            // Where a daemon remaps users by default, files would belong to nobody outside.
            Users::Same if flavour == Flavour::Docker => Some("host".into()),
            _ => None,
        },
        mounts: Some(mounts::binds(binds)?),
        auto_remove: Some(true),
        init: Some(false),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..Default::default() }),
        // What the agent says while it starts is read from its output as it comes; later it has nothing to
        // say that a job could not have made it say, so nothing is kept on the daemon's disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ..Default::default()
    })
}

/// The capability that the container of root has; see [`added_capabilities`].
pub(super) const ROOTS_CAPABILITY: &str = "SETFCAP";

/// None, but for root: the kernel lets nobody without `CAP_SETFCAP` map root into a user namespace
/// (user_namespaces(7)), which the agent needs for the namespaces of jobs. The agent gives it up as soon as it
/// has made that namespace, and no job is ever outside of it.
fn added_capabilities(uid: u32) -> Vec<String> {
    if uid == 0 { vec![ROOTS_CAPABILITY.into()] } else { Vec::new() }
}

fn security_options(spec: &ContainerSpec, flavour: Flavour) -> Result<Vec<String>, EngineError> {
    let mut options = vec!["no-new-privileges:true".to_owned(), seccomp_option(spec, flavour)?];
    if flavour == Flavour::Podman {
        // Podman reads no list of paths from its API, an empty one included.
        options.push("unmask=ALL".into());
    }
    Ok(options)
}

/// Docker takes the profile itself, Podman the name of a file on its host.
fn seccomp_option(spec: &ContainerSpec, flavour: Flavour) -> Result<String, EngineError> {
    let profile = seccomp::profile(&spec.system_calls);
    if flavour == Flavour::Docker {
        return Ok(format!("seccomp={profile}"));
    }
    let path = spec.directory().join("seccomp.json");
    fs::write(&path, profile)
        .map_err(|error| EngineError::failed(format!("cannot write {}: {error}", path.display())))?;
    Ok(format!("seccomp={}", path.display()))
}

/// This process's own limits, which jobs would have under cargo too. Docker leaves what is not named here as
/// the daemon has it; both ask for a million open files, and Podman for a million processes, and where the
/// daemon's own limits are lower nothing starts at all.
fn ulimits(flavour: Flavour) -> Vec<ResourcesUlimits> {
    let named = |name: &str, resource, most: u64| {
        let limit = getrlimit(resource);
        let bounded = |value: Option<u64>| i64::try_from(value.unwrap_or(most).min(most)).ok();
        ResourcesUlimits {
            name: Some(name.into()),
            soft: bounded(limit.current),
            hard: bounded(limit.maximum),
        }
    };
    let mut limits = vec![named("nofile", Resource::Nofile, MOST_OPEN_FILES)];
    if flavour == Flavour::Podman {
        // Podman's service lowers its own limit to the number of processes that there can be.
        let most = fs::read_to_string("/proc/sys/kernel/pid_max").ok();
        let most = most.and_then(|text| text.trim().parse().ok()).unwrap_or(MOST_PROCESSES);
        limits.push(named("nproc", Resource::Nproc, most));
    }
    limits
}
