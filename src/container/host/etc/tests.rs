use std::time::Instant;

use super::*;

/// A host's `/etc` of our own making, and where the synthetic one goes.
struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(fixture.host("alternatives")).unwrap();
        fs::create_dir_all(fixture.host("ssl/certs")).unwrap();
        symlink("/usr/bin/gcc", fixture.host("alternatives/cc")).unwrap();
        fixture.write("os-release", "ID=test\n");
        fixture.write("shadow", "root:secret\n");
        fixture.write("hostname", "the-real-name\n");
        fixture.write("ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\n");
        fixture
    }

    fn host(&self, name: &str) -> PathBuf {
        self.directory.path().join("etc").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.host(name), text).unwrap();
        fs::set_permissions(self.host(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn synthesize(&self) -> PathBuf {
        self.synthesize_for(&user(1000))
    }

    fn synthesize_for(&self, user: &UserIdentity) -> PathBuf {
        synthesize(&self.host(""), &self.directory.path().join("out"), user).unwrap()
    }
}

fn user(uid: u32) -> UserIdentity {
    UserIdentity {
        uid,
        gid: uid,
        name: "alice".into(),
        group: "staff".into(),
        home: "/home/alice".into(),
        shell: "/bin/sh".into(),
    }
}

#[test]
fn it_has_what_builds_and_engines_need() {
    let fixture = Fixture::new();
    let etc = fixture.synthesize();
    assert_eq!(fs::read_to_string(etc.join("os-release")).unwrap(), "ID=test\n");
    assert_eq!(fs::read_link(etc.join("alternatives/cc")).unwrap(), Path::new("/usr/bin/gcc"));
    assert!(etc.join("ssl/certs/ca.pem").is_file());
    // Docker mounts files of its own over these, which needs something to mount on.
    for name in ["hosts", "hostname", "resolv.conf"] {
        assert!(etc.join(name).is_file(), "{name}");
    }
    assert_eq!(fs::metadata(&etc).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn it_has_no_secret_and_not_the_hosts_name() {
    let fixture = Fixture::new();
    fixture.write("ssl/certs/server.pem", "-----BEGIN RSA PRIVATE KEY-----\n");
    fixture.write("ssl/certs/closed.pem", "-----BEGIN CERTIFICATE-----\n");
    fs::set_permissions(fixture.host("ssl/certs/closed.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink(fixture.host("shadow"), fixture.host("ssl/certs/link.pem")).unwrap();
    fs::set_permissions(fixture.host("shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    let etc = fixture.synthesize();
    for name in ["shadow", "ssl/certs/server.pem", "ssl/certs/closed.pem", "ssl/certs/link.pem"] {
        assert!(fs::symlink_metadata(etc.join(name)).is_err(), "{name}");
    }
    assert_eq!(fs::read_to_string(etc.join("hostname")).unwrap(), "cargo-sandbox\n");
}

#[test]
fn a_link_out_of_what_is_shown_becomes_a_file() {
    let fixture = Fixture::new();
    let elsewhere = fixture.directory.path().join("bundle.pem");
    fs::write(&elsewhere, "-----BEGIN CERTIFICATE-----\n").unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&elsewhere, fixture.host("ssl/certs/bundle.pem")).unwrap();
    let copy = fixture.synthesize().join("ssl/certs/bundle.pem");
    assert!(fs::symlink_metadata(copy).unwrap().is_file());
}

#[test]
fn only_root_nobody_and_the_caller_exist() {
    let fixture = Fixture::new();
    let names = |etc: &Path| {
        let text = fs::read_to_string(etc.join("passwd")).unwrap();
        text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&fixture.synthesize()), ["root", "alice", "nobody"]);
    assert_eq!(names(&fixture.synthesize_for(&user(0))), ["alice", "nobody"]);
    assert_eq!(names(&fixture.synthesize_for(&user(65534))), ["root", "alice"]);
}

#[test]
fn a_field_that_would_make_another_entry_is_refused() {
    let fixture = Fixture::new();
    let mut user = user(1000);
    user.home = "/home/alice:/bin/sh\nroot2:x:0:0".into();
    let error = synthesize(&fixture.host(""), fixture.directory.path(), &user).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_change_makes_a_new_directory_and_leaves_the_old_one() {
    let fixture = Fixture::new();
    let before = fixture.synthesize();
    assert_eq!(fixture.synthesize(), before);
    fixture.write("os-release", "ID=other\n");
    let after = fixture.synthesize();
    assert_ne!(before, after);
    assert_eq!(fs::read_to_string(before.join("os-release")).unwrap(), "ID=test\n");
    assert_eq!(fs::read_to_string(after.join("os-release")).unwrap(), "ID=other\n");
}

#[test]
fn a_relinked_alternative_is_noticed() {
    let fixture = Fixture::new();
    let before = fixture.synthesize();
    fs::remove_file(fixture.host("alternatives/cc")).unwrap();
    symlink("/usr/bin/clang", fixture.host("alternatives/cc")).unwrap();
    assert_ne!(fixture.synthesize(), before);
}

#[test]
fn a_java_development_kit_that_comes_is_noticed() {
    let fixture = Fixture::new();
    let before = fixture.synthesize();
    let security = "java-17-openjdk/security/java.security";
    fs::create_dir_all(fixture.host(security).parent().unwrap()).unwrap();
    fixture.write(security, "provider=SUN\n");
    fixture.write("java-17-openjdk/jmxremote.password", "secret\n");
    let password = fs::Permissions::from_mode(0o600);
    fs::set_permissions(fixture.host("java-17-openjdk/jmxremote.password"), password).unwrap();
    let after = fixture.synthesize();
    assert!(!before.join("java-17-openjdk").exists());
    assert_eq!(fs::read_to_string(after.join(security)).unwrap(), "provider=SUN\n");
    assert!(!after.join("java-17-openjdk/jmxremote.password").exists());
}

#[test]
fn what_was_superseded_long_ago_is_removed() {
    let fixture = Fixture::new();
    let old = fixture.synthesize();
    fixture.write("os-release", "ID=second\n");
    fixture.synthesize();
    let long_ago = SystemTime::now() - 2 * KEEP_SUPERSEDED;
    File::open(&old).unwrap().set_modified(long_ago).unwrap();
    fixture.write("os-release", "ID=third\n");
    fixture.synthesize();
    assert!(!old.exists());
}

#[test]
fn a_second_call_reads_times_only() {
    let directory = tempfile::tempdir().unwrap();
    let call = || synthesize(Path::new("/etc"), directory.path(), &user(1000)).unwrap();
    let first = call();
    // The best of several: others use this machine too. Ten times what it takes without optimisation.
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(call(), first);
            start.elapsed()
        })
        .min()
        .unwrap();
    assert!(best < Duration::from_millis(5), "{best:?}");
}
