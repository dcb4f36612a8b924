//! One attack for each class of what needs trust.

use super::*;

#[test]
fn a_proxy_is_used_when_it_is_trusted_and_as_it_was_trusted() {
    for world in worlds("proxy") {
        let (server, other) = (Server::new(), Server::new());
        let text = |server: &Server| format!("[net]\nretry = 0\n\n[http]\nproxy = \"{}\"\n", server.address);
        let project = project(&world, "proxied", &text(&server));
        with_dependency(&world, &project);
        run(&mut plain(&world, &project, "fetch"));
        assert!(server.called(), "control: cargo obeys");

        let words = [".cargo/config.toml:5: http.proxy", server.address.as_str()];
        stopped(&mut sandbox(&world, &project, "fetch"), &words);
        assert!(!server.called());

        trust(&world, &project);
        run(&mut sandbox(&world, &project, "fetch"));
        assert!(server.called(), "what is trusted works");

        configure(&world, &project, &text(&other));
        let (old, new) =
            (format!("- proxy = \"{}\"", server.address), format!("+ proxy = \"{}\"", other.address));
        let words = ["changed since you trusted it", old.as_str(), new.as_str()];
        stopped(&mut sandbox(&world, &project, "fetch"), &words);
        assert!(!other.called());

        configure(&world, &project, &text(&server));
        run(&mut sandbox(&world, &project, "fetch"));
        assert!(server.called(), "what was trusted still is");
        run(&mut sandbox(&world, &project, "self trust --revoke")).success("self trust --revoke");
        stopped(&mut sandbox(&world, &project, "fetch"), &["http.proxy"]);
        assert!(!server.called());
    }
}

#[test]
fn trusted_certificates_are_read_wherever_they_are() {
    let system = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt");
    let Some(system) = need(system.map_err(|error| format!("no certificates: {error}"))) else { return };
    for world in worlds("certificates") {
        let certificates = world.home.join("certificates.pem");
        world.write(&certificates, &system);
        let text = format!("http.cainfo = {certificates:?}\nnet.retry = 0\n");
        let project = project(&world, "certified", &text);
        with_dependency(&world, &project);
        stopped(&mut sandbox(&world, &project, "fetch"), &["http.cainfo"]);
        trust(&world, &project);
        let output = run(&mut sandbox(&world, &project, "fetch"));
        fs::remove_dir_all(world.home.join(".cargo")).expect("CARGO_HOME");
        let control = run(&mut plain(&world, &project, "fetch"));
        if !control.status.success() {
            assert!(need::<()>(Err(format!("no registry: {}", control.stderr))).is_none());
            return;
        }
        output.success("cargo-sandbox fetch");
    }
}

#[test]
fn an_included_proxy_is_no_better() {
    for world in worlds("included") {
        let server = Server::new();
        let project = project(&world, "including", "include = [\"more.toml\"]\nnet.retry = 0\n");
        with_dependency(&world, &project);
        let more = format!("http.proxy = \"{}\"\n", server.address);
        world.write(&project.join(".cargo/more.toml"), &more);
        run(&mut plain(&world, &project, "fetch"));
        assert!(server.called(), "control: cargo obeys");
        stopped(&mut sandbox(&world, &project, "update"), &["more.toml:1: http.proxy"]);
        assert!(!server.called());

        // And neither is one from elsewhere, of which nothing is shown.
        let elsewhere = world.home.join("elsewhere.toml");
        world.write(&elsewhere, &more);
        configure(&world, &project, &format!("include = [{:?}]\nnet.retry = 0\n", elsewhere));
        run(&mut plain(&world, &project, "fetch"));
        assert!(server.called(), "control: cargo obeys");
        let output = stopped(&mut sandbox(&world, &project, "update"), &["outside of the repository"]);
        assert!(!output.stderr.contains(&server.address), "{}", output.stderr);
        assert!(!server.called());
    }
}

#[test]
fn the_code_of_dependencies_comes_from_nowhere_else() {
    for world in worlds("sources") {
        let server = Server::new();
        let text = format!(
            "net.retry = 0\n[source.crates-io]\nreplace-with = \"mine\"\n[source.mine]\nregistry = \"sparse+http://{}/\"\n",
            server.address
        );
        let project = project(&world, "replaced", &text);
        with_dependency(&world, &project);
        run(&mut plain(&world, &project, "fetch"));
        assert!(server.called(), "control: cargo obeys");
        stopped(&mut sandbox(&world, &project, "fetch"), &["source.mine.registry", "comes from there"]);
        assert!(!server.called());

        // The same by the name of a registry.
        let text = format!(
            "net.retry = 0\n[source.crates-io]\nreplace-with = \"mine\"\n[registries.mine]\nindex = \"sparse+http://{}/\"\n",
            server.address
        );
        configure(&world, &project, &text);
        run(&mut plain(&world, &project, "fetch"));
        assert!(server.called(), "control: cargo obeys");
        stopped(&mut sandbox(&world, &project, "fetch"), &["source.crates-io.replace-with"]);
        assert!(!server.called());
    }
}

#[test]
fn a_token_of_the_users_is_not_sent_elsewhere() {
    for world in worlds("token") {
        let server = Server::new();
        let text =
            format!("net.retry = 0\n[registries.corp]\nindex = \"sparse+http://{}/\"\n", server.address);
        let project = project(&world, "corporate", &text);
        let manifest = fs::read_to_string(project.join("Cargo.toml")).expect("manifest");
        let dependency = "[dependencies]\nx = { version = \"1\", registry = \"corp\" }\n\n[workspace]";
        world.write(&project.join("Cargo.toml"), &manifest.replace("[workspace]", dependency));
        run(&mut sandbox(&world, &project, "fetch"));
        assert!(server.called(), "a registry that the user does not know is like any other");
        let users = world.home.join(".cargo");
        world.write(&users.join("credentials.toml"), "[registries.corp]\ntoken = \"the-secret\"\n");
        world.write(&users.join("config.toml"), "registry.global-credential-providers = [\"cargo:token\"]\n");
        run(&mut plain(&world, &project, "fetch"));
        let heard = server.heard();
        assert!(heard.contains("the-secret"), "control: cargo sends it there: {heard}");
        stopped(&mut sandbox(&world, &project, "fetch"), &["registries.corp.index", "your token"]);
        assert!(!server.called());
    }
}

#[test]
fn a_credential_provider_and_a_browser_are_not_started() {
    for world in worlds("programs") {
        let project = project(&world, "programs", "");
        let program = Program::new(&world, &project);
        let path = program.path.display();

        configure(&world, &project, &format!("[registry]\nglobal-credential-providers = [\"{path}\"]\n"));
        run(&mut plain(&world, &project, "yank programs --version 0.1.0"));
        assert!(program.ran(), "control: cargo starts it");
        stopped(&mut sandbox(&world, &project, "check"), &["registry.global-credential-providers"]);
        run(&mut sandbox(&world, &project, "yank programs --version 0.1.0"));
        assert!(!program.ran());

        configure(&world, &project, &format!("[doc]\nbrowser = [\"{path}\"]\n"));
        run(&mut plain(&world, &project, "doc --open")).success("control: cargo doc --open");
        assert!(program.ran(), "control: cargo starts it");
        stopped(&mut sandbox(&world, &project, "doc"), &["doc.browser"]);
        assert_eq!(run(&mut sandbox(&world, &project, "doc --open")).code(), 101);
        assert!(!program.ran());
    }
}

#[test]
fn an_alias_carries_no_configuration_and_stops_no_other_command() {
    for world in worlds("alias") {
        let project = project(&world, "aliased", "");
        let program = Program::new(&world, &project);
        let runner = format!("target.'cfg(all())'.runner = '{}'", program.path.display());
        configure(
            &world,
            &project,
            &format!(
                "[alias]\nr = [\"run\", \"--config\", \"{runner}\"]\nk = \"check\"\ni = [\"install\", \"--config\", \
                 \"{runner}\", \"--git\", \"file:///nonexistent\"]\n"
            ),
        );
        run(&mut plain(&world, &project, "r")).success("control: cargo r");
        assert!(program.ran(), "control: cargo starts it, where the user means `run`");
        stopped(&mut sandbox(&world, &project, "r"), &["alias.r", "`--config`"]);
        // The configuration of what is installed knows no such alias.
        stopped(&mut sandbox(&world, &project, "i"), &["alias.i", "`install`"]);
        run(&mut sandbox(&world, &project, "k")).success("another alias");
        run(&mut sandbox(&world, &project, "run")).success("another command");
        // What this tool decides it decides for aliases that are trusted, too.
        trust(&world, &project);
        let output = run(&mut sandbox(&world, &project, "r"));
        assert!(output.stderr.contains("is decided by cargo-sandbox"), "{}", output.stderr);
        assert!(!program.ran());
        world.stop(ENGINE, &project);
    }
}

#[test]
fn an_alias_writes_in_no_directory_of_its_choice() {
    for world in worlds("alias-place") {
        let victim = world.home.join("victim");
        world.write(&victim.join("note"), "");
        let line = format!("[alias]\nk = \"check --target-dir {}\"\n", victim.display());
        let project = project(&world, "aliased", &line);
        let mut command = world.plain(&project);
        run(command.arg("k")).success("control: cargo k");
        assert!(victim.join("debug").exists(), "control: cargo writes there");
        fs::remove_dir_all(victim.join("debug")).expect("remove");
        stopped(&mut sandbox(&world, &project, "k"), &["alias.k", "`--target-dir`"]);
        assert!(!victim.join("debug").exists());
    }
}

#[test]
fn a_loader_variable_needs_trust_and_then_reaches_jobs() {
    for world in worlds("variables") {
        let text =
            "[env]\nLD_PRELOAD = { value = \"/nonexistent/mine.so\", force = true }\nMY_KNOB = \"1\"\n";
        let project = project(&world, "variables", text);
        let loader = "object '/nonexistent/mine.so' from LD_PRELOAD cannot be preloaded";
        let control = run(&mut plain(&world, &project, "run")).success("control: cargo run");
        assert!(control.stderr.contains(loader), "control: {}", control.stderr);
        stopped(&mut sandbox(&world, &project, "run"), &["env.LD_PRELOAD", "the dynamic loader obeys"]);
        trust(&world, &project);
        let output = run(&mut sandbox(&world, &project, "run")).success("cargo-sandbox run");
        assert!(output.stderr.contains(loader), "{}", output.stderr);
        world.stop(ENGINE, &project);
    }
}

#[test]
fn a_strangers_file_above_the_project_needs_trust() {
    if need(User::root()).is_none() {
        return;
    }
    for world in worlds("stranger").filter(|world| world.user.uid != 0) {
        let project = project(&world, "below", "");
        let above = world.work().join(".cargo/config.toml");
        world.write(&above, "[alias]\nk = \"check\"\n");
        run(&mut sandbox(&world, &project, "k")).success("the user's own");
        let stranger = run(Command::new("chown").arg("12345").arg(&above));
        stranger.success("chown");
        run(&mut plain(&world, &project, "k")).success("control: cargo obeys");
        stopped(&mut sandbox(&world, &project, "check"), &["belongs to the user 12345"]);
        trust(&world, &project);
        run(&mut sandbox(&world, &project, "k")).success("trusted");
        world.stop(ENGINE, &project);
    }
}
