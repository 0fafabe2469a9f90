//! Engines that are not this machine's socket: over TCP, TLS and ssh, Podman's, and several.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Place, SAMPLES, docker, json, rows};
use crate::survival::{repeated_executions, results};

/// The socket of the daemon that the tests use.
const SOCKET: &str = "/var/run/docker.sock";

/// A port in front of a daemon, which can be cut off.
struct Port {
    address: String,
    state: Arc<PortState>,
}

#[derive(Default)]
struct PortState {
    cut: AtomicBool,
    /// Containers that were asked for through this port.
    created: AtomicUsize,
    open: Mutex<Vec<(TcpStream, UnixStream)>>,
}

impl Port {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let state = Arc::new(PortState::default());
        let seen = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if seen.cut.load(Ordering::SeqCst) {
                    continue;
                }
                let engine = UnixStream::connect(SOCKET).unwrap();
                let pair = (client.try_clone().unwrap(), engine.try_clone().unwrap());
                seen.open.lock().unwrap().push(pair);
                let (mut to_client, mut from_engine) =
                    (client.try_clone().unwrap(), engine.try_clone().unwrap());
                let (mut from_client, mut to_engine) = (client, engine);
                let state = Arc::clone(&seen);
                std::thread::spawn(move || {
                    let mut buffer = [0; 16384];
                    while let Ok(n @ 1..) = from_client.read(&mut buffer) {
                        if buffer[..n].starts_with(b"POST /containers/create") {
                            state.created.fetch_add(1, Ordering::SeqCst);
                        }
                        if to_engine.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = to_engine.shutdown(Shutdown::Write);
                });
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from_engine, &mut to_client);
                    let _ = to_client.shutdown(Shutdown::Both);
                    let _ = from_engine.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, state }
    }

    /// Breaks every connection, and lets no other through until [`Port::mend`].
    fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        for (client, engine) in self.state.open.lock().unwrap().drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = engine.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }

    fn created(&self) -> usize {
        self.state.created.load(Ordering::SeqCst)
    }
}

/// The outcomes of a run that are there so far.
fn executed(place: &Place, run: &str) -> usize {
    let of = |id: &&str| rows(&place.path(&format!("{run}/{id}/executions.jsonl"))).len();
    SAMPLES[..2].iter().map(of).sum()
}

fn notices(place: &Place, run: &str, part: &str) -> usize {
    let events = rows(&place.path(&format!("{run}/events.jsonl")));
    events
        .iter()
        .filter(|event| event["message"].as_str().is_some_and(|m| m.contains(part)))
        .count()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not come to this: {what}");
}

#[test]
fn a_lost_host_changes_nothing_but_the_place_of_the_work() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let common = ["run", "sample", "-i", SAMPLES[0], "-i", SAMPLES[1], "--sandbox", "docker", "-o"];
    place.ok(&[&common[..], &["calm"]].concat());

    let (one, two) = (Port::open(), Port::open());
    let hosts = ["--docker-host", &one.address, "--docker-host", &two.address];
    let mut child = place.spawn(&[&common[..], &["rough"], &hosts[..]].concat());
    // Twice, at different times, a host goes in the midst of its work; the first one comes back.
    wait_until("work on the first host", || {
        executed(&place, "rough") > 40 && one.created() > 2 || child.try_wait().unwrap().is_some()
    });
    one.cut();
    let (before, at) = (executed(&place, "rough"), two.created());
    wait_until("the work goes on", || {
        executed(&place, "rough") > before + 20 && two.created() > at
            || child.try_wait().unwrap().is_some()
    });
    one.mend();
    wait_until("the first host is back", || {
        notices(&place, "rough", "is back") > 0 || child.try_wait().unwrap().is_some()
    });
    let at = one.created();
    wait_until("it works again", || one.created() > at || child.try_wait().unwrap().is_some());
    two.cut();
    assert_eq!(child.wait().unwrap().code(), Some(0));

    assert!(notices(&place, "rough", "lost the container host") >= 1);
    assert!(one.created() > 2 && two.created() > 2, "{} and {}", one.created(), two.created());
    assert_eq!(results(&place, "rough"), results(&place, "calm"));
    assert_eq!(repeated_executions(&place, "rough"), Vec::<String>::new());

    // All of them lost is what one lost host is: the environment's failure.
    one.cut();
    two.cut();
    let ran = place.agent(&[&common[..], &["none"], &hosts[..]].concat());
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("no container engine answers"), "{}", ran.stderr);
}

#[test]
fn predictions_are_graded_although_a_host_is_lost() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let (one, two) = (Port::open(), Port::open());
    let hosts = ["--docker-host", &one.address, "--docker-host", &two.address];
    let args =
        ["evaluate", "sample", "-p", "gold", "-o", "graded", "--sandbox", "docker", "-j", "4"];
    let mut child = place.spawn(&[&args[..], &hosts[..]].concat());
    wait_until("both hosts grade", || {
        one.created() > 0 && two.created() > 0 || child.try_wait().unwrap().is_some()
    });
    one.cut();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let report = json(&place.path("graded/report.json"));
    assert_eq!(report["resolved_instances"], 4, "{report}");
}

#[test]
fn a_wrong_address_is_a_usage_error_that_names_the_right_ones() {
    let place = Place::new();
    let ran = place.agent(&["doctor", "--docker-host", "gopher://host"]);
    assert_eq!(ran.code, Some(2));
    for scheme in ["unix://", "tcp://", "https://", "ssh://"] {
        assert!(ran.stderr.contains(scheme), "{}", ran.stderr);
    }
}

fn output(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    output
}

fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(sbin).any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("skipped: there is no {program} here");
    }
    found
}

/// Ended with the test, whatever becomes of it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // By the polite signal: a killed daemon leaves its mounts.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(command: &mut Command) -> Server {
    Server(
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
    )
}

/// A CA, and a server's and a client's certificate.
fn certificates(dir: &Path) {
    let path = |name: &str| dir.join(name).display().to_string();
    let ca =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=trial ca"];
    let (ca_key, ca_cert) = (path("ca-key.pem"), path("ca.pem"));
    output("openssl", &[&ca[..], &["-keyout", &ca_key, "-out", &ca_cert]].concat());
    let extensions = [
        (
            "server",
            "server-key.pem",
            "server.pem",
            "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        ),
        ("client", "key.pem", "cert.pem", "extendedKeyUsage=clientAuth\n"),
    ];
    for (name, key, cert, extension) in extensions {
        let (request, settings) = (path("request.pem"), path("extension.cnf"));
        std::fs::write(&settings, extension).unwrap();
        let subject = format!("/CN={name}");
        let new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject];
        output("openssl", &[&new[..], &["-keyout", &path(key), "-out", &request]].concat());
        let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-in", &request];
        let by = ["-CA", &ca_cert, "-CAkey", &ca_key, "-extfile", &settings, "-out", &path(cert)];
        output("openssl", &[&sign[..], &by[..]].concat());
    }
}

/// What a daemon with `--tlsverify` does at its door. A second daemon would need a bridge of its own,
/// and takes the first one's away if it is told to have none.
const TLS_PROXY: &str = r"
import socket, ssl, sys, threading
port, path, cert, key, ca = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
context.load_verify_locations(ca)
context.verify_mode = ssl.CERT_REQUIRED
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for end in a, b:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def serve(client):
    try:
        client = context.wrap_socket(client, server_side=True)
    except OSError:
        return
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(path)
    threading.Thread(target=pump, args=(engine, client), daemon=True).start()
    pump(client, engine)
listener = socket.create_server(('127.0.0.1', int(port)))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

#[test]
fn an_engine_behind_tls_is_reached_with_the_right_certificates_only() {
    if !docker() || !have("openssl") || !have("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let port = free_port();
    let proxy = dir.path().join("proxy.py");
    std::fs::write(&proxy, TLS_PROXY).unwrap();
    let mut python = Command::new("python3");
    python.arg(&proxy).args([&port.to_string(), SOCKET]);
    let proxy = start(python.args(["server.pem", "server-key.pem", "ca.pem"].map(path)));
    wait_until("the proxy listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let place = Place::new();
    let address = format!("tcp://127.0.0.1:{port}");
    let check = |dir: &Path, verify: &str| {
        let mut command = place.command(&["images", "check", "sample", "--docker-host", &address]);
        command.env("DOCKER_TLS_VERIFY", verify).env("DOCKER_CERT_PATH", dir);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(dir.path(), "1"), (Some(0), String::new()));
    // Without TLS, without a CA, with a CA that has not signed the daemon's certificate, and
    // without a certificate of one's own.
    assert_eq!(check(dir.path(), "").0, Some(3));
    let other = tempfile::tempdir().unwrap();
    let (code, said) = check(other.path(), "1");
    assert!(code == Some(3) && said.contains("ca.pem"), "{said}");
    certificates(other.path());
    assert_eq!(check(other.path(), "1").0, Some(3));
    for file in ["cert.pem", "key.pem"] {
        std::fs::remove_file(other.path().join(file)).unwrap();
    }
    std::fs::copy(path("ca.pem"), other.path().join("ca.pem")).unwrap();
    assert_eq!(check(other.path(), "1").0, Some(3));
    drop(proxy);
}

/// A server on a port of its own, and the directory of an `ssh` that knows it by the name `far`.
struct Ssh {
    port: u16,
    config: PathBuf,
    bin: PathBuf,
    _server: Server,
}

fn ssh(place: &Place) -> Ssh {
    let dir = place.path("ssh");
    std::fs::create_dir(&dir).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    for key in ["host", "user"] {
        output("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
    }
    let port = free_port();
    std::fs::copy(dir.join("user.pub"), dir.join("authorized")).unwrap();
    let server = place.write(
        "ssh/sshd_config",
        &format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n",
            path("host"),
            path("authorized")
        ),
    );
    // sshd wants this directory and to be called by its full path.
    let _ = std::fs::create_dir_all("/run/sshd");
    let mut sshd = Command::new("/usr/sbin/sshd");
    let _server = start(sshd.args(["-D", "-e", "-f"]).arg(&server));
    wait_until("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());

    let user = String::from_utf8(output("id", &["-un"]).stdout).unwrap();
    // ssh reads the account's configuration whatever HOME says, so that it is given one this way.
    let config = place.write(
        "ssh/config",
        &format!(
            "Host far\n HostName 127.0.0.1\n Port {port}\n User {}\n IdentityFile {}\n \
             IdentitiesOnly yes\n UserKnownHostsFile {}\n StrictHostKeyChecking accept-new\n",
            user.trim(),
            path("user"),
            path("known")
        ),
    );
    let real = Command::new("sh").args(["-c", "command -v ssh"]).output().unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    let wrapper = place.write(
        "bin/ssh",
        &format!("#!/bin/sh\nexec {} -F {} \"$@\"\n", real.trim(), config.display()),
    );
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    Ssh { port, config, bin: place.path("bin"), _server }
}

#[test]
fn an_engine_behind_ssh_runs_code_and_leaves_no_connection() {
    if !docker() || !have("sshd") || !have("ssh-keygen") {
        return;
    }
    let place = Place::new();
    let Ssh { port, config, bin, _server } = ssh(&place);
    let search = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let temporary = place.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let agent = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("PATH", &search).env("TMPDIR", &temporary);
        command
    };

    let solve = ["solve", "--instance", SAMPLES[1], "--sandbox", "docker", "--docker-host"];
    let run = |address: &str| {
        let output = agent(&[&solve[..], &[address, "-o", "run"]].concat()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    let (code, said) = run("ssh://far");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("at ssh://far, as asked"), "{said}");
    let left = || std::fs::read_dir(&temporary).unwrap().count();
    // The process that clears up after another one may still be looking around over there.
    wait_until("no socket is left", || left() == 0);
    // ssh's own words say what is wrong.
    let (code, said) = run("ssh://far/nowhere.sock");
    assert!(code == Some(3) && said.contains("open failed"), "{said}");
    let (code, said) = run(&format!("ssh://nobody@127.0.0.1:{port}"));
    assert!(code == Some(3) && said.contains("ssh nobody@127.0.0.1: "), "{said}");

    // A killed process leaves no ssh behind; its directory goes at the next start.
    let executions = place.path(&format!("killed/{}/executions.jsonl", SAMPLES[1]));
    let mut command = agent(&[&solve[..], &["ssh://far", "-o", "killed"]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("work", || rows(&executions).len() > 3 || child.try_wait().unwrap().is_some());
    let connections = || {
        let listed = output("ps", &["-eo", "args"]).stdout;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        listed.lines().filter(|line| line.contains(&config.display().to_string())).count()
    };
    assert_eq!(connections(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the connection ends", || connections() == 0);
    let (code, said) = run("ssh://far");
    assert_eq!(code, Some(0), "{said}");
    wait_until("no socket is left", || left() == 0);
}

#[test]
fn podman_gives_what_docker_gives() {
    // Installing it and handing the base image over takes a minute; `tests/all.sh` says when.
    if std::env::var_os("AGENT_TEST_PODMAN").is_none() || !docker() || !have("podman") {
        eprintln!("skipped: AGENT_TEST_PODMAN is not set");
        return;
    }
    let dir = tempfile::Builder::new().prefix("agp-").tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (root, run) = (path("root"), path("run"));
    let mut podman = vec!["--root", &root, "--runroot", &run];
    // The other runtime refuses machines that mount both generations of cgroups.
    if have("runc") {
        podman.extend(["--runtime", "runc"]);
    }
    let load = format!("docker save agent-base:bookworm | podman {} load -q", podman.join(" "));
    output("bash", &["-c", &load]);
    let socket = path("s");
    let address = format!("unix://{socket}");
    let service = ["system", "service", "--time=0", &address];
    let service = start(Command::new("podman").args([&podman[..], &service[..]].concat()));
    wait_until("the service listens", || UnixStream::connect(&socket).is_ok());

    let place = Place::new();
    let solve = ["solve", "--instance", SAMPLES[1], "--sandbox", "docker", "-o"];
    let ran = place.ok(&[&solve[..], &["by-podman", "--docker-host", &address]].concat());
    assert!(ran.stderr.contains("docker (Podman "), "{}", ran.stderr);
    place.ok(&[&solve[..], &["by-docker"]].concat());
    let read = |run: &str, file: &str| {
        std::fs::read_to_string(place.path(&format!("{run}/{}/{file}", SAMPLES[1]))).unwrap()
    };
    for file in ["tests.jsonl", "ranking.json"] {
        assert_eq!(read("by-podman", file), read("by-docker", file), "{file}");
    }
    let left = output("podman", &[&podman[..], &["ps", "-aq"]].concat()).stdout;
    assert!(left.is_empty(), "{}", String::from_utf8_lossy(&left));
    let images = ["images", "prune", "--docker-host", &address];
    assert!(place.ok(&images).stdout.contains("agent-tree"));
    drop(service);
    // It mounts its storage onto itself, which would keep the directory.
    let _ = Command::new("umount").arg(format!("{root}/overlay")).output();
}
