//! The list of attacks that are not a job's own doing, each with a test of its own: on what cargo and this tool do on the
//! host, by what a repository asks for, with another way to start cargo, by using everything up, at a terminal.
//! `docs/threat-model.md` has its tables from here.

use super::catalogue::{
    HOST_DOMAIN, KILLED, LANDLOCK, NETWORK, NOT_SHOWN, ORIGIN, PROCESSES, READ_ONLY, SCRUBBED, SECCOMP,
};

/// An attack with a test of its own.
#[derive(Debug)]
pub struct HostCase {
    /// What the attacker does.
    pub attack: &'static str,
    /// From where: a kind of job, or the repository.
    pub from: &'static str,
    /// What stops it, the first line of defence first.
    pub defences: &'static [&'static str],
    /// The test: its file below `tests/`, or in this directory, and its name.
    pub test: &'static str,
}

const fn host(
    from: &'static str,
    attack: &'static str,
    defences: &'static [&'static str],
    test: &'static str,
) -> HostCase {
    HostCase { attack, from, defences, test }
}

const SCRIPT_FILTER: &str = "filter of what build scripts say";
const COMPILER_FILTER: &str = "filter of what compilers say";
const PLANTED_CHECK: &str = "look at what the repository planted";
const OWN_BUILD_DIR: &str = "build directory of this tool's own";
const COPIED: &str = "a copy of a few files, through no link, is all of the project that it sees";
const ASKED_DAEMON: &str = "a daemon that does not show that it builds in its sandbox is not used";
const JUDGED: &str = "variables judged by name";
const OUTSIDE: &str = "programs in the project are not looked at";
const SHIMS: &str = "shims in the place of build scripts";
const STATIC_WRAPPER: &str = "static wrapper that believes no variable";
const INSIDE: &str = "it runs inside";
const NO_TOOL_BELOW: &str = "no tool with a loader is started in the place of the compiler or before a test";
const OWN_PROFILES: &str =
    "a directory for each job, of which plain files alone are copied, under other names";
const ARGUMENT_FILES: &str = "argument files are read";
const RESOLVED: &str = "resolved before cargo starts";
const OVERRIDDEN: &str = "decided by this tool in cargo's environment";
const SETTINGS: &str = "configuration that `self setup` wrote";
const PROVENANCE: &str = "a user's grant is for what cargo unpacked from crates.io";
const LISTED: &str = "a list that comes with this tool";
const NO_POLICY: &str = "no policy grants it";
const OWN_NETWORK: &str = "network namespace of the job's own";
const OWN_MOUNTS: &str = "mount namespace of the job's own";
const NO_LINK: &str = "paths are opened part by part, through no link";
const USERS_FILE: &str = "only the user's own file, in no project, is read";
const TRUST: &str = "trust, asked for by content";
const REFUSED: &str = "command that is refused until it is confined";
const STAGED: &str = "cargo runs inside, on a copy of which sources alone come back";
const APART: &str = "each installation has a container and directories of its own";
const LEFTOVERS: &str = "build scripts that are no shims of ours are removed";
const CALLER: &str = "caller as the kernel names it";
const OWN_TERMINAL: &str = "terminal of the job's own";
const KERNEL_LIMIT: &str = "limit that the kernel keeps";
const WATCHED: &str = "watched by the agent";
const NO_TOKEN: &str = "no token is where jobs are, nor where cargo on the host is";
const VERIFIED: &str = "the token is given out for the verified checksum alone";
const ARCHIVE_RULES: &str = "archive and sources are in no job's reach to write";
const REAL_PATHS: &str = "real paths of what is packed are looked at";
const PUBLISH_CONTAINER: &str = "Publish container: cargo, its libraries and the sources, and nothing else";
const FORWARDER: &str = "network of the job's own, in which the listed hosts alone lead out";

const GATEWAY: &str = "what a language server says is judged";
const STAND_IN: &str = "stand-ins and programs of the project's are no server";

/// All of them, by the part of the page.
pub const SUBJECTS: &[(&str, &[HostCase])] = &[
    ("Cargo as a deputy", DEPUTY),
    ("What the repository asks for", REPOSITORY),
    ("Other commands and installed ones", COMMANDS),
    ("Publishing", PUBLISHING),
    ("Editors", EDITORS),
    ("Expressions of Nix's", EXPRESSIONS),
    ("The other ways to start cargo", WAYS),
    ("Terminal", TERMINAL),
    ("Using everything up", BOMBS),
];

/// By commands that rewrite, install or package, and by subcommands that the user has installed.
#[rustfmt::skip]
const COMMANDS: &[HostCase] = &[
    host("macro", "under `fix`, suggests a change of a file in the home directory", &[STAGED, NOT_SHOWN], "fix::a_macro_that_suggests_to_change_a_file_of_the_home_directory_changes_none"),
    host("macro", "under `fix`, writes hooks, configuration and programs into the project", &[STAGED], "fix::what_a_macro_writes_while_the_project_is_fixed_is_left_behind"),
    host("macro", "the same under `clippy --fix`", &[STAGED], "fix::nor_does_clippy_bring_it_out"),
    host("crate", "while it is installed, reads the project and plants programs", &[APART, NOT_SHOWN], "install::an_installed_crate_reads_no_project_and_plants_no_program"),
    host("build script", "while its package is verified, changes what is packed, or reads the workspace", &[LANDLOCK, ORIGIN], "package::the_verify_build_sees_what_is_packed_and_changes_nothing_of_it"),
    host("macro", "names a program to nextest as a test", &[COMPILER_FILTER, HOST_DOMAIN], "tools/forged::a_path_that_a_macro_names_is_not_executed"),
    host("anything", "has nextest believe that a program is a test", &[INSIDE, HOST_DOMAIN], "tools/forged::a_path_that_nextest_believes_is_not_executed_on_this_machine"),
    host("test", "under nextest, reads and writes the home directory", &[NOT_SHOWN, LANDLOCK], "tools/hostile::a_test_reads_and_writes_nothing_of_the_users"),
    host("repository", "names a setup script to nextest", &[TRUST], "tools/scripts::a_setup_script_needs_trust_and_then_has_cargos_rights"),
    host("repository", "names a wrapper to nextest that runs tests raw", &[TRUST, HOST_DOMAIN], "tools/scripts::a_wrapper_script_needs_trust_and_executes_no_test_on_this_machine"),
    host("repository", "has nextest write outside of the project", &[TRUST, HOST_DOMAIN], "tools/scripts::a_place_outside_needs_trust_and_is_not_written_all_the_same"),
    host("macro", "plants a library where cargo and nextest have the loader of what they start look first, so that `nextest`, `expand` or `llvm-cov` loads it", &[STATIC_WRAPPER, NO_TOOL_BELOW], "tools/library::a_library_that_a_macro_plants_is_not_loaded_by_a_tool"),
    host("test", "leaves links, fifos and forged names among the profiles that `llvm-cov` reads", &[OWN_PROFILES, LANDLOCK], "tools/coverage::what_a_test_leaves_among_profiles_leads_nowhere"),
    host("test", "writes a profile for the programs that read it (`llvm-profdata`, `llvm-cov`) to break by", &[INSIDE], "tools/coverage::the_tools_run_in_the_container"),
    host("repository", "brings a link where `llvm-cov` writes", &[PLANTED_CHECK], "tools/coverage::what_a_test_leaves_among_profiles_leads_nowhere"),
    host("repository", "brings a subcommand of its own", &[HOST_DOMAIN], "tools/unknown::one_that_lies_in_the_project_is_not_executed"),
];

/// By which cargo on the host, or what it starts there, shall act for the attacker.
#[rustfmt::skip]
const DEPUTY: &[HostCase] = &[
    host("build script", "sets `LD_PRELOAD` for the wrapper by `cargo::rustc-env`", &[SCRIPT_FILTER, STATIC_WRAPPER], "directives::a_script_sets_no_loader_variable_and_names_no_foreign_directory"),
    host("build script", "sets `HOME` by `cargo::rustc-env`", &[SCRIPT_FILTER, STATIC_WRAPPER], "directives::a_script_sets_no_loader_variable_and_names_no_foreign_directory"),
    host("build script", "sets `LD_LIBRARY_PATH`, `GLIBC_TUNABLES` or `GCONV_PATH`", &[SCRIPT_FILTER, STATIC_WRAPPER], "deputy::a_script_sets_no_variable_that_programs_of_the_host_obey"),
    host("build script", "sets `PATH` or `BASH_ENV`", &[SCRIPT_FILTER, STATIC_WRAPPER], "deputy::a_script_sets_no_variable_that_programs_of_the_host_obey"),
    host("build script", "names a compiler, wrapper, runner or toolchain by a variable", &[SCRIPT_FILTER, STATIC_WRAPPER], "deputy::a_script_sets_no_variable_that_programs_of_the_host_obey"),
    host("build script", "names a container daemon, or this tool's own settings, by a variable", &[SCRIPT_FILTER, STATIC_WRAPPER], "deputy::a_script_sets_no_variable_that_programs_of_the_host_obey"),
    host("build script", "adds a library directory of the user's by `rustc-link-search` or `rustc-flags`", &[SCRIPT_FILTER, NOT_SHOWN], "directives::a_script_sets_no_loader_variable_and_names_no_foreign_directory"),
    host("build script", "moves the cursor or sets the title of the terminal in a warning", &[SCRIPT_FILTER], "directives::a_warning_moves_no_cursor"),
    host("build script", "does that in what it says before it fails", &[SCRIPT_FILTER], "directives::a_script_that_fails_moves_no_cursor"),
    host("build script", "names a program that the linker is started through", &[INSIDE], "deputy::a_linker_of_the_scripts_choice_runs_inside"),
    host("build script and `run`", "has cargo write a secret of its environment where a later job reads it", &[LANDLOCK], "deputy::cargos_records_tell_no_program_what_is_in_its_environment"),
    host("repository", "brings a `target/` with a build script that cargo believes to be fresh", &[OWN_BUILD_DIR, HOST_DOMAIN], "deputy::a_committed_build_script_is_not_executed"),
    host("repository", "the same with a build script of another name", &[OWN_BUILD_DIR, HOST_DOMAIN], "deputy::a_committed_build_script_is_not_executed"),
    host("anything", "puts a program in the place of a build script in the build directory", &[SHIMS, HOST_DOMAIN], "raw_executable::cargo_executes_no_raw_build_script"),
    host("anything", "has cargo execute a copy of a system program in the project", &[HOST_DOMAIN], "raw_executable::a_copy_of_a_system_program_is_not_executed"),
    host("repository", "links a `.d` file in `target/` to a file of the user's", &[PLANTED_CHECK, HOST_DOMAIN], "planted::cargo_writes_through_no_planted_link"),
    host("repository", "links `target/` out of the project", &[PLANTED_CHECK, HOST_DOMAIN], "planted::the_target_directory_leads_where_the_user_says_and_not_the_repository"),
    host("repository", "links `Cargo.lock` to a file of the user's", &[PLANTED_CHECK, HOST_DOMAIN], "deputy::cargo_writes_through_no_link_of_the_repositorys"),
    host("repository", "links `target/.rustc_info.json` to a file of the user's", &[PLANTED_CHECK, OWN_BUILD_DIR, HOST_DOMAIN], "deputy::cargo_writes_through_no_link_of_the_repositorys"),
    host("repository", "links `target/debug` out of the project", &[PLANTED_CHECK, HOST_DOMAIN], "deputy::cargo_writes_through_no_link_of_the_repositorys"),
    host("repository", "links `deps`, `build`, `.fingerprint` or `incremental` out of the project", &[OWN_BUILD_DIR, HOST_DOMAIN], "deputy::cargo_writes_through_no_link_of_the_repositorys"),
    host("repository", "links `target/doc` out of the project", &[PLANTED_CHECK, HOST_DOMAIN], "deputy::cargo_writes_through_no_link_of_the_repositorys"),
    host("repository", "links `target/package` out of the project", &[PLANTED_CHECK, HOST_DOMAIN], "deputy::cargo_writes_through_no_link_of_the_repositorys"),
    host("repository", "depends on a crate of the user's by `path`", &[HOST_DOMAIN, ORIGIN, NOT_SHOWN], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "the same through a link in the repository", &[HOST_DOMAIN, ORIGIN, NOT_SHOWN], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "includes a file of the user's by `include_str!`", &[NOT_SHOWN, LANDLOCK], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "the same through a link in the repository", &[NOT_SHOWN, LANDLOCK], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "takes a module from elsewhere by `#[path]`", &[NOT_SHOWN, LANDLOCK], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "takes a program from elsewhere by `[[bin]] path`", &[HOST_DOMAIN, ORIGIN, NOT_SHOWN], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "takes a build script from elsewhere by `build =`", &[HOST_DOMAIN, ORIGIN, NOT_SHOWN], "deputy::a_repository_names_no_source_outside_of_it"),
    host("repository", "has `cargo fmt` show a file of the user's", &[HOST_DOMAIN], "deputy::the_formatter_shows_no_file_from_elsewhere"),
    host("repository", "depends on another repository of the user's by `git = \"file://…\"`", &[HOST_DOMAIN], "raw_executable::a_git_dependency_in_a_directory_that_is_named_is_fetched"),
    host("build script", "is compiled behind an argument file (`@file`), in which no wrapper sees its name", &[ARGUMENT_FILES, HOST_DOMAIN], "scripts/main::an_argument_file_hides_no_script"),
    host("build script", "has another name than `build.rs`", &[SHIMS, HOST_DOMAIN], "scripts/main::a_script_with_a_name_of_its_own"),
    host("build script", "lies where cargo's build directory layout to come has it", &[SHIMS, HOST_DOMAIN], "scripts/main::scripts_in_the_build_directory_layout_to_come"),
    host("macro", "forges a message in cargo's name (`--message-format json`), whose executable test runners start", &[COMPILER_FILTER], "directives::a_macro_forges_no_message_of_cargos"),
    host("macro", "suggests a change of a file of the user's, which `cargo fix` makes", &[COMPILER_FILTER, STAGED], "directives::a_macro_suggests_no_change_of_somebody_elses_file"),
    host("macro", "moves the cursor or sets the title of the terminal in what the compiler says", &[COMPILER_FILTER], "directives::a_macro_moves_no_cursor"),
    host("macro", "plants a C library in `deps/`, which cargo's `LD_LIBRARY_PATH` has first when it starts the wrapper", &[STATIC_WRAPPER, LANDLOCK], "host/planted_library::a_library_in_deps_is_not_loaded_on_the_host"),
    host("anything", "has the wrapper load a library (`LD_PRELOAD`, `LD_LIBRARY_PATH`, `LD_AUDIT`)", &[SCRIPT_FILTER, STATIC_WRAPPER], "host/static_wrapper::planted_libraries_are_not_loaded"),
    host("anything", "has the host execute anything of the project's while it is built (asked of a trace)", &[SHIMS, INSIDE, HOST_DOMAIN], "host/executed::docker_engine"),
    host("dependency", "what `examples/hostile` tries, on the host", &[INSIDE, NOT_SHOWN], "host/hostile::cargo_lets_all_of_it_happen_and_the_sandbox_none"),
];

/// What the files of a repository have plain cargo do.
#[rustfmt::skip]
const REPOSITORY: &[HostCase] = &[
    host("configuration", "names a compiler, `rustdoc`, wrapper, runner or `build-dir`", &[OVERRIDDEN, HOST_DOMAIN], "trust/unasked::programs_in_the_place_of_the_compiler_are_handled"),
    host("configuration", "names a linker", &[INSIDE], "trust/unasked::a_linker_runs_in_the_container"),
    host("configuration", "names a credential provider, which is handed tokens", &[TRUST, HOST_DOMAIN, REFUSED], "trust/attacks::a_credential_provider_and_a_browser_are_not_started"),
    host("configuration", "names a browser for `doc --open`", &[TRUST, HOST_DOMAIN, REFUSED], "trust/attacks::a_credential_provider_and_a_browser_are_not_started"),
    host("configuration", "leads downloads through a proxy", &[TRUST], "trust/attacks::a_proxy_is_used_when_it_is_trusted_and_as_it_was_trusted"),
    host("policy", "gives its own packages paths, variables and system calls by `cargo-sandbox.toml`", &[TRUST], "policy/files::a_build_script_reads_what_it_is_granted_and_another_kind_of_job_does_not"),
    host("policy", "has a job reach a server of the host's", &[TRUST], "policy/network::a_list_is_what_is_reached_and_nothing_else_is"),
    host("policy", "has a job connect to a Unix socket of the host's", &[TRUST], "policy/sockets::a_list_is_what_is_connected_to_and_by_nobody_else"),
    host("policy", "has a link put in the place of a socket that is granted", &[NO_LINK], "policy/sockets::a_list_is_what_is_connected_to_and_by_nobody_else"),
    host("policy", "has all jobs use the programs of an image of its choice", &[TRUST], "policy/containers::an_image_of_the_repositorys_is_used_after_trust"),
    host("policy", "has all jobs use packages of its choice", &[TRUST], "packages/main::a_listed_package_is_fetched_once_and_used_without_being_installed"),
    host("policy", "names an option of apt's, a file, a pattern or a version in the place of a package", &[NO_POLICY], "packages/main::what_is_no_name_of_a_package_is_refused_where_it_stands"),
    host("dependency", "says that it needs a package of its own choice (`packages = \"auto\"`)", &[LISTED], "packages/main::what_the_dependency_graph_needs_is_fetched"),
    host("dependency", "changes the packages that are shown to jobs", &[LANDLOCK, READ_ONLY], "packages/main::jobs_cannot_write_what_is_shown_to_them"),
    host("policy", "has nix evaluate an expression of its own", &[TRUST], "provider/nix::a_crate_builds_with_what_its_shell_nix_gives"),
    host("policy", "chooses the engine", &[TRUST], "policy/containers::an_engine_is_the_repositorys_choice_where_the_user_has_none_and_trusts_it"),
    host("policy", "lets all jobs use up more than the user does", &[TRUST], "policy/containers::a_wider_limit_of_containers_is_asked_for_and_never_above_the_command_line"),
    host("policy", "changes what was trusted", &[TRUST], "policy/trust::each_grant_is_asked_for_in_words_and_a_changed_file_asks_again"),
    host("policy", "calls a package of its own by a name that the user grants something to", &[PROVENANCE], "policy/files::a_variable_passes_to_the_package_that_it_is_granted_to"),
    host("policy", "calls a package of its own by a name whose build script the user lets run", &[PROVENANCE], "policy/scripts::a_build_script_that_nobody_names_does_not_run"),
    host("policy", "asks for credentials, sockets, the home directory, what the host obeys", &[NO_POLICY], "policy/files::what_no_policy_grants_is_refused_by_name"),
    host("policy", "asks for a variable with a secret's name, or one that the loader obeys", &[NO_POLICY], "policy/files::a_variable_passes_to_the_package_that_it_is_granted_to"),
    host("policy", "has its policy read through a link, for an error to show another file", &[RESOLVED], "policy/trust::a_mistake_stops_every_command_with_its_place"),
    host("policy", "is obeyed where plain cargo runs and nobody is asked", &[TRUST], "policy/trust::plain_cargo_gives_nothing_that_is_not_trusted"),
    host("test", "puts a link where the policy lets it write, or writes beside", &[LANDLOCK], "policy/files::a_test_writes_its_snapshots_and_nothing_beside_them"),
    host("build-script", "reaches more than the list of hosts that it is granted", &[OWN_NETWORK], "policy/network::a_list_is_what_is_reached_and_nothing_else_is"),
    host("build-script", "connects to a Unix socket beside the one that it is granted", &[NOT_SHOWN], "policy/sockets::a_list_is_what_is_connected_to_and_by_nobody_else"),
    host("build-script", "connects to a Unix socket, and a database, that a macro of the same build is granted", &[OWN_MOUNTS, OWN_NETWORK, SECCOMP], "policy/database::a_query_is_checked_where_the_database_is_granted"),
    host("macro", "reads a file beside the project, or in the home directory", &[NOT_SHOWN, LANDLOCK], "policy/macros::a_macro_reads_the_projects_files_and_no_other"),
    host("test", "connects to an abstract socket where it has the host's network", &[SECCOMP], "policy/network::the_hosts_network_is_that_of_the_jobs_that_are_granted_it_alone"),
    host("configuration", "changes what was trusted", &[TRUST], "trust/attacks::a_proxy_is_used_when_it_is_trusted_and_as_it_was_trusted"),
    host("configuration", "vouches for servers by certificates of its own", &[TRUST], "trust/attacks::trusted_certificates_are_read_wherever_they_are"),
    host("configuration", "hides a setting in a file that it includes", &[TRUST], "trust/attacks::an_included_proxy_is_no_better"),
    host("configuration", "includes a file of the user's", &[RESOLVED], "trust/attacks::an_included_proxy_is_no_better"),
    host("configuration", "replaces the source of dependencies", &[TRUST], "trust/attacks::the_code_of_dependencies_comes_from_nowhere_else"),
    host("configuration", "gives a registry the name of one of the user's, so that his token is sent there", &[TRUST], "trust/attacks::a_token_of_the_users_is_not_sent_elsewhere"),
    host("configuration", "carries configuration in an alias (`--config`)", &[TRUST, OVERRIDDEN], "trust/attacks::an_alias_carries_no_configuration_and_stops_no_other_command"),
    host("configuration", "shadows a command that the user means by an alias", &[RESOLVED, TRUST], "trust/attacks::an_alias_carries_no_configuration_and_stops_no_other_command"),
    host("configuration", "has an alias write elsewhere (`--target-dir`)", &[TRUST, HOST_DOMAIN], "trust/attacks::an_alias_writes_in_no_directory_of_its_choice"),
    host("configuration", "sets `LD_PRELOAD` by `[env]`", &[TRUST, STATIC_WRAPPER], "trust/attacks::a_loader_variable_needs_trust_and_then_reaches_jobs"),
    host("another user", "has a configuration file above the project", &[TRUST], "trust/attacks::a_strangers_file_above_the_project_needs_trust"),
    host("toolchain file", "names a toolchain, whose cargo runs on the host, by its `path`", &[RESOLVED, TRUST], "trust/asking::a_toolchain_of_the_repositorys_needs_trust"),
    host("toolchain file", "names a toolchain that rustup would fetch", &[RESOLVED], "trust/asking::a_toolchain_that_is_not_there_is_not_fetched"),
    host("configuration", "builds for another target (`build.target`), whose programs a runner for the host's own does not meet", &[OVERRIDDEN, HOST_DOMAIN], "believed::another_target_has_a_runner_as_well"),
    host("repository", "brings a forged `.rustc_info.json`, so that cargo takes another target for the host's", &[OVERRIDDEN, OWN_BUILD_DIR, HOST_DOMAIN], "believed::a_forged_record_of_the_compilers_answers_is_not_believed"),
    host("user, by mistake", "calls a command that is not confined yet (`doc --open`)", &[REFUSED], "commands/errors::options_that_make_no_sense"),
    host("manifest", "makes the home directory the project", &[RESOLVED], "commands/errors::a_project_that_would_show_the_home_directory"),
    host("configuration file in the project", "lowers the bar of this tool's own confinement", &[USERS_FILE], "limits/weaker::nothing_else_lowers_the_bar"),
    host("configuration file in the project", "sets this tool's limits and engine", &[USERS_FILE], "limits/configuration::a_file_in_the_project_is_not_the_users"),
];

/// What else can be tried where no front end starts cargo.
#[rustfmt::skip]
const WAYS: &[HostCase] = &[
    host("earlier build", "leaves a raw build script in `target/`, which is fresh", &[LEFTOVERS, SHIMS], "ways/hostile::a_raw_build_script_of_an_earlier_build_is_not_executed"),
    host("earlier build", "leaves what a raw build script told cargo, which nobody has judged", &[LEFTOVERS, SCRIPT_FILTER], "ways/hostile::what_a_raw_script_told_cargo_is_judged_again"),
    host("repository", "links a build script's `output` in `target/` to a file of the user's", &[PLANTED_CHECK], "ways/hostile::cargo_writes_through_no_link_in_the_target_directory"),
    host("repository", "builds in another project's build directory", &[RESOLVED], "ways/hostile::a_repository_cannot_build_in_another_projects_directory"),
    host("repository", "leads the wrapper elsewhere by `[env]`: `HOME`, `PATH`, `LD_LIBRARY_PATH`, a daemon, settings of this tool", &[STATIC_WRAPPER, CALLER], "ways/hostile::no_variable_leads_the_wrapper_anywhere"),
    host("build script", "reads a secret of cargo's own environment", &[SCRUBBED], "ways/hostile::jobs_see_no_secret_of_cargos_environment"),
    host("another user", "listens in the broker's place", &[CALLER], "ways/hostile::another_users_socket_is_no_broker"),
    host("anything", "starts the wrapper without cargo", &[CALLER], "ways/hostile::a_wrapper_that_no_cargo_started_says_so"),
    host("anything", "outlives a cargo that was killed", &[KILLED], "ways/life::kill_9_of_cargo_leaves_no_broker_and_no_job"),
    host("macro", "`cargo fix` starts compilers that no wrapper sees", &[REFUSED], "ways/wrapper::what_cannot_be_confined_so_is_refused_with_the_reason"),
    host("anything", "has the host execute anything of the project's while it is built (asked of a trace)", &[SHIMS, INSIDE], "host/executed::plain_cargo_with_the_wrapper"),
    host("repository", "has a workspace of its own below the one that is set up", &[SETTINGS], "ways/setup::a_package_below_that_is_its_own_workspace_is_confined_as_well"),
];

/// What is after the registry's token, or has something else sent than was meant.
#[rustfmt::skip]
const PUBLISHING: &[HostCase] = &[
    host("verify build", "reads the token in its environment", &[NO_TOKEN], "publish/attacks::the_verify_build_gets_no_token_and_changes_nothing_that_is_sent"),
    host("verify build", "reads the token in `credentials.toml`", &[NOT_SHOWN, LANDLOCK], "publish/attacks::the_verify_build_gets_no_token_and_changes_nothing_that_is_sent"),
    host("verify build", "reads the token in other processes' environments", &[NOT_SHOWN, NO_TOKEN], "publish/attacks::the_verify_build_gets_no_token_and_changes_nothing_that_is_sent"),
    host("verify build", "has the user's credential provider give the token", &[NOT_SHOWN, LANDLOCK], "publish/attacks::the_verify_build_gets_no_token_and_changes_nothing_that_is_sent"),
    host("verify build", "changes the archive in its place before it is sent", &[ARCHIVE_RULES, VERIFIED], "publish/attacks::the_verify_build_gets_no_token_and_changes_nothing_that_is_sent"),
    host("verify build", "changes the README or another source that is sent", &[ARCHIVE_RULES, VERIFIED], "publish/attacks::the_verify_build_gets_no_token_and_changes_nothing_that_is_sent"),
    host("whoever gives the token", "changes the sources between the verify build and the upload", &[VERIFIED], "publish/attacks::what_was_not_verified_is_not_sent"),
    host("configuration", "names a credential provider, which is started and asked for the token", &[TRUST, PUBLISH_CONTAINER], "publish/attacks::a_repository_decides_nothing_of_where_the_token_goes"),
    host("configuration", "names a compiler (`build.rustc`), which `publish` starts beside the token", &[OVERRIDDEN, PUBLISH_CONTAINER], "publish/attacks::a_repository_decides_nothing_of_where_the_token_goes"),
    host("configuration", "gives a registry that the user knows another address, to which the token goes", &[TRUST], "publish/attacks::a_repository_decides_nothing_of_where_the_token_goes"),
    host("configuration", "has the upload go through a proxy", &[TRUST, FORWARDER], "publish/attacks::a_repository_decides_nothing_of_where_the_token_goes"),
    host("configuration", "has cargo believe a forged certificate, behind which somebody else takes the token", &[TRUST], "publish/certificate::a_certificate_of_the_repositorys_is_not_believed"),
    host("repository", "has files of the host's packed, by a link to a file or a directory", &[HOST_DOMAIN, REAL_PATHS], "publish/attacks::files_of_elsewhere_are_not_sent"),
    host("manifest", "has a file of the host's packed as `readme` or `license-file`", &[HOST_DOMAIN, REAL_PATHS], "publish/attacks::files_of_elsewhere_are_not_sent"),
    host("repository", "has a file of the workspace's packed into a package by a link", &[REAL_PATHS], "publish/attacks::files_of_elsewhere_are_not_sent"),
    host("repository", "brings an artifact that the upload would start", &[PUBLISH_CONTAINER], "publish/world::the_publish_container_is_what_the_page_says"),
    host("whatever runs beside the token", "sends it elsewhere", &[FORWARDER], "publish/world::the_publish_container_is_what_the_page_says"),
    host("an allowed name's owner", "has the name stand for an address of this machine's or its metadata service", &[FORWARDER], "engines/native::a_job_reaches_what_it_is_allowed_and_nothing_else"),
    host("job without a network", "uses that of a job that has one", &[FORWARDER], "engines/native::a_job_reaches_what_it_is_allowed_and_nothing_else"),
    host("build script of a dependency", "reads the token for a private registry", &[NO_TOKEN], "publish/upload::a_private_registry_is_read_and_published_to"),
];

/// By the language server of an editor (`self rust-analyzer`), which loads macros and starts cargo.
#[rustfmt::skip]
const EDITORS: &[HostCase] = &[
    host("macro, build script", "reads a file of the home directory", &[NOT_SHOWN, LANDLOCK], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("macro, build script", "reads the editor's environment", &[SCRUBBED], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("macro, build script", "reads `.git`", &[NOT_SHOWN], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("macro, build script", "writes in the home directory or the project", &[NOT_SHOWN, LANDLOCK], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("macro, build script", "connects to a service of this machine", &[NETWORK], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("macro", "speaks in the server's name: has the editor change `.bashrc`", &[GATEWAY], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("repository", "names a formatter (`rust-analyzer.toml`)", &[INSIDE], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("repository", "names what the editor starts in the place of cargo, and options of cargo's", &[GATEWAY], "editor/hostile::what_the_server_loads_and_runs_gains_nothing"),
    host("server", "answers with changes of files outside of the project, and of hooks", &[GATEWAY], "editor/forged::an_editor_is_told_to_do_nothing_that_harms"),
    host("server", "names commands of the editor's, as an action or as a link in what is shown", &[GATEWAY], "editor/forged::an_editor_is_told_to_do_nothing_that_harms"),
    host("server", "offers programs to start that are not cargo, or with other variables", &[GATEWAY], "editor/forged::an_editor_is_told_to_do_nothing_that_harms"),
    host("server", "opens addresses, registers commands, asks for other configuration", &[GATEWAY], "editor/forged::an_editor_is_told_to_do_nothing_that_harms"),
    host("anything", "outlives the editor", &[KILLED], "editor/session::nothing_of_it_outlives_the_editor"),
    host("repository", "brings a server, in a directory of `PATH`", &[STAND_IN], "editor/words::a_missing_server_is_named_with_what_to_do"),
];

/// What a project's `flake.nix` or `shell.nix` does where it is evaluated (`native.provider`).
#[rustfmt::skip]
const EXPRESSIONS: &[HostCase] = &[
    host("expression, builder", "reads a key in the home directory", &[NOT_SHOWN], "provider/attacks::a_hostile_expression_gains_nothing"),
    host("expression", "reads `.env`, or what a link in the project leads to", &[COPIED], "provider/attacks::a_hostile_expression_gains_nothing"),
    host("expression", "asks for a variable of the user's", &[SCRUBBED], "provider/attacks::a_hostile_expression_gains_nothing"),
    host("builder", "writes to the home directory", &[NOT_SHOWN], "provider/attacks::a_hostile_expression_gains_nothing"),
    host("builder", "reads the environment of other processes", &[PROCESSES], "provider/attacks::a_hostile_expression_gains_nothing"),
    host("builder", "connects to a port or a Unix socket of this machine", &[OWN_NETWORK, NOT_SHOWN], "provider/attacks::a_hostile_expression_gains_nothing"),
    host("builder", "reads a key by Nix's daemon, whose sandbox is off", &[ASKED_DAEMON], "provider/daemon::a_daemon_builds_for_who_cannot_write_its_store"),
    host("expression", "gives jobs `LD_PRELOAD` or `RUSTC_WRAPPER`", &[JUDGED], "provider/nix::a_crate_builds_with_what_its_shell_nix_gives"),
    host("build script", "writes into the store", &[READ_ONLY, LANDLOCK], "provider/attacks::no_job_writes_the_store"),
    host("repository", "brings a `nix`, in a directory of `PATH`", &[OUTSIDE], "provider/attacks::a_nix_of_the_repositorys_is_not_run"),
];

/// What a program does to the terminal on which it is started.
#[rustfmt::skip]
const TERMINAL: &[HostCase] = &[
    host("`run`", "types into the user's shell (`TIOCSTI`)", &[SECCOMP, OWN_TERMINAL], "terminal/typing::no_program_types_into_the_users_shell"),
    host("`run`", "the same with high bits set (CVE-2019-7303)", &[SECCOMP, OWN_TERMINAL], "terminal/typing::no_program_types_into_the_users_shell"),
    host("`run`", "pastes into a console (`TIOCLINUX`)", &[SECCOMP, OWN_TERMINAL], "terminal/typing::no_program_types_into_the_users_shell"),
    host("`run`", "holds the user's own terminal", &[OWN_TERMINAL], "terminal/main::no_program_has_the_users_own_terminal"),
];

/// What would take a machine's processes, memory, disk or time.
#[rustfmt::skip]
const BOMBS: &[HostCase] = &[
    host("build script, macro", "forks without end", &[KERNEL_LIMIT, WATCHED], "limits/bombs::a_fork_bomb_is_stopped"),
    host("build script, macro", "takes memory without end", &[KERNEL_LIMIT, WATCHED], "limits/bombs::a_memory_bomb_is_stopped"),
    host("build script, macro", "takes memory that no process shows (`/dev/shm`)", &[KERNEL_LIMIT, WATCHED], "limits/bombs::memory_that_no_process_shows_counts"),
    host("build script, macro", "never ends", &[WATCHED], "limits/bombs::an_endless_job_is_stopped"),
    host("build script, macro", "fills the disk with files", &[WATCHED], "limits/bombs::a_disk_filling_job_is_stopped"),
    host("build script", "takes the last of the disk", &[WATCHED], "limits/free_space::a_job_that_takes_the_last_space_is_stopped_and_others_are_not"),
    host("build script, macro", "writes a file without end", &[KERNEL_LIMIT, WATCHED], "limits/bombs::a_job_that_writes_too_large_a_file_is_stopped"),
    host("build script, macro", "opens files without end", &[KERNEL_LIMIT], "limits/bombs::no_job_opens_more_files_than_allowed"),
    host("build script", "has the kernel kill the user's programs when memory is short", &[KERNEL_LIMIT], "limits/bombs::the_kernel_kills_jobs_before_the_agent_and_the_users_programs"),
    host("build script", "crashes, and so leaves its memory on the disk or has a program of the host's started", &[KERNEL_LIMIT], "limits/bombs::a_crash_leaves_no_core"),
];

/// Every attack of this list.
pub fn all() -> impl Iterator<Item = &'static HostCase> {
    SUBJECTS.iter().flat_map(|(_, cases)| cases.iter())
}
