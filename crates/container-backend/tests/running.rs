//! Containers really run: start, stop, update, and what they see of the host.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Device, IDLE, failed, is_alive, ok, until};
use scomo_core::effect::Target;
use scomo_core::failure::FailureKind;
use scomo_core::id::ComponentId;
use scomo_core::spec::{HealthCheck, Mount, Network, Resources, RunSpec};
use scomo_engine::backend::{Backend, StepCx};
use serde_json::json;

fn volume(name: &str, target: &str) -> Mount {
    Mount { source: name.to_owned(), target: target.to_owned(), read_only: false }
}

/// The number after `key:` in the output.
fn field(output: &str, key: &str) -> String {
    let line = output.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {key} in\n{output}")).trim().to_owned()
}

#[test]
fn a_component_starts_and_stops() {
    needs_root!();
    let mut device = Device::new();
    let release = device.script(
        "web",
        "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done",
        RunSpec::default(),
    );
    device.start(&release);
    device.hear("web", "hello\n");
    assert!(device.runs(&release));
    let (supervisor, main) = (device.supervisor("web"), device.main_process("web"));
    // Again: nothing changes.
    ok("switch again", device.try_activate(&release));
    assert_eq!((device.supervisor("web"), device.main_process("web")), (supervisor, main));
    device.stop(&release);
    assert!(!device.runs(&release));
    assert!(device.logs("web").contains("bye\n"), "the stop signal must arrive: {}", device.logs("web"));
    assert!(!is_alive(supervisor) && !is_alive(main));
    assert!(!device.runtime("web").exists());
    assert_eq!(device.processes(), []);
    // It starts again with a fresh scratch layer.
    ok("start again", device.try_activate(&release));
    assert!(device.runs(&release));
    let absent = Target::Absent;
    ok("remove", device.backend().switch(&release.spec.id, &absent, &StepCx::detached()));
    assert!(!device.runs(&release));
}

#[test]
fn who_ignores_the_stop_signal_is_killed() {
    needs_root!();
    let mut device = Device::new();
    let run = RunSpec { stop_timeout_s: 1, ..RunSpec::default() };
    let release = device.script("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done", run);
    device.start(&release);
    device.hear("deaf", "up\n");
    let main = device.main_process("deaf");
    device.stop(&release);
    assert!(!is_alive(main));
    assert_eq!(device.processes(), []);
}

#[test]
fn the_images_stop_signal_is_used() {
    needs_root!();
    let mut device = Device::new();
    let script =
        "trap 'echo usr1; exit 0' USR1; trap 'echo term' TERM; echo up; while :; do sleep 0.05; done";
    let image = json!({"Entrypoint": ["/bin/sh", "-c"], "Cmd": [script], "StopSignal": "SIGUSR1"});
    let release = device.custom("polite", "1", &image, RunSpec::default(), None);
    device.start(&release);
    device.hear("polite", "up\n");
    device.stop(&release);
    let logs = device.logs("polite");
    assert!(logs.contains("usr1\n") && !logs.contains("term\n"), "{logs}");
}

#[test]
fn an_update_keeps_volumes_and_nothing_else() {
    needs_root!();
    let mut device = Device::new();
    let run = RunSpec { mounts: vec![volume("data", "/srv/data")], ..RunSpec::default() };
    let script = "echo who=$(cat /srv/data/who) scratch=$(cat /scratch); cat /version > /srv/data/who; \
                  echo x > /scratch; echo END;";
    let script = format!("{script} {IDLE}");
    let args = ["/bin/sh", "-c", &script];
    let v1 = device.release("web", "one", &args, run.clone());
    let v2 = device.release("web", "two", &args, run);
    device.start(&v1);
    device.hear("web", "END\n");
    let main = device.main_process("web");
    device.start(&v2);
    assert!(!is_alive(main), "the old release must be gone");
    assert!(device.runs(&v2) && !device.runs(&v1));
    let ends = |logs: &String| logs.lines().filter(|line| *line == "END").count() == 2;
    let logs = until("two says all", || Some(device.logs("web")).filter(ends));
    let seen: Vec<&str> = logs.lines().filter(|line| line.starts_with("who=")).collect();
    assert_eq!(
        seen,
        ["who= scratch=", "who=one scratch="],
        "the volume must survive, the scratch layer not: {logs}"
    );
    // And back.
    ok("back", device.try_activate(&v1));
    assert!(device.runs(&v1) && !device.runs(&v2));
    let data = device.state_dir().join("containers/volumes/web/data/who");
    until("one wrote its name", || fs::read_to_string(&data).ok().filter(|who| who == "one"));
}

#[test]
fn the_process_has_few_rights() {
    needs_root!();
    let mut device = Device::new();
    let output = device.ask(
        "cat /proc/self/status; mount -t tmpfs x /tmp 2>&1; unshare -m true 2>&1; mknod /tmp/n b 8 0 2>&1; \
         echo x > /proc/sys/kernel/hostname; echo c > /proc/sysrq-trigger; ls -la /dev; hostname; \
         cat /proc/kcore 2>/dev/null | head -c 8; touch /sys/x",
        RunSpec::default(),
    );
    assert_eq!(field(&output, "NoNewPrivs"), "1");
    assert_eq!(field(&output, "Seccomp"), "2");
    let all = u64::from_str_radix(&field(&output, "CapEff"), 16).expect("capabilities");
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, NET_BIND_SERVICE 10.
    assert_eq!(all, 0b100_1111_1011, "{all:b}");
    for set in ["CapPrm", "CapBnd"] {
        assert_eq!(u64::from_str_radix(&field(&output, set), 16), Ok(all), "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(&output, set), 16), Ok(0), "{set}");
    }
    assert!(output.contains("mount: permission denied"), "{output}");
    assert!(output.contains("unshare: unshare(0x20000): Operation not permitted"), "{output}");
    assert!(output.contains("mknod: /tmp/n: Operation not permitted"), "{output}");
    for path in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/x"] {
        assert!(output.contains(path), "writing {path} must fail: {output}");
    }
    assert!(output.contains("\nasked\n"), "the host name is the component's: {output}");
    assert!(!output.contains("sda") && !output.contains("vda") && !output.contains(" mem\n"), "{output}");
}

#[test]
fn seccomp_denies_what_capabilities_do_not() {
    needs_root!();
    let config = json!({"capabilities": ["CAP_SYS_ADMIN"]});
    let mut device = Device::with(&config);
    let script = "unshare -U true 2>&1; unshare -m true 2>&1 && echo MAY";
    let bare = device.ask(script, RunSpec::default());
    // A user namespace needs no capability at all: only the filter denies it.
    assert!(bare.contains("unshare(0x10000000): Operation not permitted") && !bare.contains("MAY"), "{bare}");
    let mut device = Device::with(&config);
    let run = RunSpec { capabilities: vec!["CAP_SYS_ADMIN".to_owned()], ..RunSpec::default() };
    let admin = device.ask(script, run);
    assert!(admin.contains("MAY"), "with the capability come its calls: {admin}");
}

#[test]
fn the_user_comes_from_the_image() {
    needs_root!();
    let mut device = Device::with(&json!({"capabilities": ["CAP_NET_ADMIN"]}));
    let run = RunSpec {
        user: "app".to_owned(),
        working_dir: "/srv".to_owned(),
        env: BTreeMap::from([("GREETING".to_owned(), "hi there".to_owned())]),
        capabilities: vec!["CAP_NET_ADMIN".to_owned()],
        mounts: vec![volume("mine", "/var/mine")],
        ..RunSpec::default()
    };
    let output = device
        .ask("id; pwd; echo $GREETING $HOME; cat /proc/self/status; touch /var/mine/x && echo WROTE", run);
    assert!(output.contains("uid=1000(app) gid=1001(app) groups=77(extra)"), "{output}");
    assert!(output.contains("\n/srv\n") && output.contains("hi there /home/app\n"), "{output}");
    // Of all only the one that was asked for survives the change of the user.
    assert_eq!(u64::from_str_radix(&field(&output, "CapEff"), 16), Ok(1 << 12), "{output}");
    assert!(output.contains("WROTE"), "a new volume belongs to the component's user: {output}");
}

#[test]
fn a_read_only_component_writes_in_memory_and_volumes_only() {
    needs_root!();
    let mut device = Device::new();
    let mut mounts = vec![volume("data", "/var/new/data"), volume("fixed", "/fixed")];
    mounts[1].read_only = true;
    let run = RunSpec { read_only: true, mounts, ..RunSpec::default() };
    let output = device.ask(
        "for f in /x /bin/x /var/x /fixed/x /etc/passwd /tmp/x /run/x /dev/shm/x /var/new/data/x; \
         do echo x >> $f && echo WROTE $f; done 2>&1",
        run,
    );
    for path in ["/x", "/bin/x", "/var/x", "/fixed/x", "/etc/passwd"] {
        assert!(!output.contains(&format!("WROTE {path}\n")), "{output}");
    }
    for path in ["/tmp/x", "/run/x", "/dev/shm/x", "/var/new/data/x"] {
        assert!(output.contains(&format!("WROTE {path}\n")), "{output}");
    }
}

#[test]
fn the_image_is_never_written_to() {
    needs_root!();
    let mut device = Device::new();
    let run = RunSpec { mounts: vec![volume("v", "/made/for/mount")], ..RunSpec::default() };
    let output = device.ask("echo changed > /version; chown 5 /bin/busybox; mkdir /new; cat /version", run);
    assert!(output.contains("changed\n"), "{output}");
    let releases = fs::read_dir(device.state_dir().join("containers/releases")).expect("releases");
    let release = releases.flatten().next().expect("a release").path();
    assert_eq!(fs::read_to_string(release.join("rootfs/version")).expect("version"), "1");
    assert!(!release.join("rootfs/new").exists() && !release.join("rootfs/made").exists());
    let owner = std::os::unix::fs::MetadataExt::uid(
        &fs::metadata(release.join("rootfs/bin/busybox")).expect("busybox"),
    );
    assert_eq!(owner, 0);
}

#[test]
fn networks_are_private_unless_asked_for() {
    needs_root!();
    let interfaces = |output: &str| output.lines().filter(|line| line.contains(": <")).count();
    let mut device = Device::new();
    let private = device.ask("ip addr", RunSpec::default());
    assert_eq!(interfaces(&private), 1, "{private}");
    assert!(private.contains("lo: <LOOPBACK,UP,LOWER_UP>") && private.contains("127.0.0.1/8"), "{private}");
    let mut device = Device::new();
    let run = RunSpec { network: Network::Host, ..RunSpec::default() };
    let host = device
        .ask("readlink /proc/self/ns/net; busybox readlink /proc/self/ns/net; cat /etc/resolv.conf", run);
    let own = fs::read_link("/proc/self/ns/net").expect("namespace");
    assert!(host.contains(&*own.to_string_lossy()), "{host}");
    let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert!(
        resolv.lines().all(|line| host.contains(line)),
        "names must resolve on the host's network: {host}"
    );
}

#[test]
fn limits_hold() {
    needs_root!();
    let mut device = Device::new();
    let resources = Resources { memory_bytes: 24 << 20, pids: 10, cpu_percent: 20 };
    let run = RunSpec { resources, ..RunSpec::default() };
    // A child that takes too much memory is killed; forks beyond the limit fail.
    let script = "(dd if=/dev/zero of=/dev/null bs=64M count=1 2>&1; echo dd $?); \
                  for i in $(seq 20); do sleep 5 & done 2>&1; wait";
    let release = device.script("limited", script, run);
    device.start(&release);
    device.hear("limited", "can't fork");
    let logs = device.hear("limited", "dd ");
    assert!(!logs.contains("dd 0\n"), "64 MiB must not fit into 24: {logs}");
}

#[test]
fn many_components_start_at_once() {
    needs_root!();
    let mut device = Device::new();
    let ids = ["a", "b/../c", "d e", "ünï", &"x".repeat(255)];
    let releases: Vec<_> = ids.iter().map(|id| device.idle(id, "1")).collect();
    releases.iter().for_each(|release| device.prepare(release));
    std::thread::scope(|scope| {
        for release in &releases {
            scope.spawn(|| ok("switch", device.try_activate(release)));
        }
    });
    for release in &releases {
        assert!(device.runs(release), "{} does not run", release.spec.id);
        device.hear(release.spec.id.as_str(), "up 1\n");
    }
    device.stop(&releases[0]);
    assert!(!device.runs(&releases[0]));
    assert!(releases[1..].iter().all(|release| device.runs(release)));
}

#[test]
fn devices_and_host_paths_come_in_when_allowed() {
    needs_root!();
    let shared = tempfile::tempdir().expect("folder");
    fs::write(shared.path().join("file"), "from the host\n").expect("file");
    std::os::unix::fs::symlink("/etc", shared.path().join("way-out")).expect("link");
    let config = json!({"host_paths": [shared.path()], "devices": ["/dev/full"]});
    let host = |name: &str| Mount {
        source: shared.path().join(name).to_string_lossy().into_owned(),
        target: "/host".to_owned(),
        read_only: true,
    };
    let mut device = Device::with(&config);
    let run = RunSpec {
        mounts: vec![host("")],
        devices: vec!["/dev/full".to_owned()],
        user: "app".to_owned(),
        ..RunSpec::default()
    };
    let output = device.ask("cat /host/file; echo x > /host/new; echo x > /dev/full", run);
    assert!(output.contains("from the host\n"), "{output}");
    assert!(output.contains("No space left on device"), "the device must be the real one: {output}");
    assert!(!shared.path().join("new").exists());
    // A link on the host does not lead out of what is allowed.
    let run = RunSpec { mounts: vec![host("way-out")], ..RunSpec::default() };
    let release = device.script("escape", IDLE, run);
    device.prepare(&release);
    let (kind, words) = failed(device.try_activate(&release));
    assert_eq!(kind, FailureKind::Invalid, "{words}");
    assert!(words.contains("container.host_paths"), "{words}");
    assert!(!device.runs(&release));
}

#[test]
fn output_is_kept_and_limited() {
    needs_root!();
    let mut device = Device::new();
    let release = device.script("chatty", &format!("seq 1 400000; echo LAST; {IDLE}"), RunSpec::default());
    device.start(&release);
    device.hear("chatty", "LAST\n");
    let logs = device.state_dir().join("containers/logs");
    for file in ["chatty.log", "chatty.log.1"] {
        let length = fs::metadata(logs.join(file)).expect(file).len();
        assert!(length <= 1024 * 1024, "{file} has {length} bytes");
    }
    let id = ComponentId::new("chatty").expect("id");
    assert_eq!(ok("logs", device.backend().logs(&id, 2)), "400000\nLAST\n");
    // The supervisor does not keep what it passes on.
    let status = fs::read_to_string(format!("/proc/{}/status", device.supervisor("chatty"))).expect("status");
    let resident = field(&status, "VmHWM").replace(" kB", "").parse::<u64>().expect("a number");
    assert!(resident < 12 * 1024, "the supervisor used {resident} KiB");
    assert_eq!(
        failed(device.backend().logs(&ComponentId::new("nobody").expect("id"), 2)).0,
        FailureKind::NotFound
    );
}

#[test]
fn the_supervisor_is_independent() {
    needs_root!();
    let mut device = Device::new();
    let release = device.idle("web", "1");
    device.start(&release);
    let supervisor = device.supervisor("web");
    let stat = fs::read_to_string(format!("/proc/{supervisor}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("fields").1.split(' ').collect();
    let own = std::process::id().to_string();
    assert_ne!(fields[1], own, "it must not be our child");
    assert_eq!(fields[3], supervisor.to_string(), "it must have its own session");
    for entry in fs::read_dir(format!("/proc/{supervisor}/fd")).expect("files").flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let known = ["/dev/null", "pipe:", "anon_inode:", "/run/containers/web/lock", "/logs/web.log"];
        let target = target.to_string_lossy();
        assert!(known.iter().any(|known| target.contains(known)), "it holds {target}");
    }
    assert!(Path::new(&format!("/proc/{supervisor}/root")).exists());
}

#[test]
fn runc_does_as_well() {
    needs_root!();
    let mut device = Device::with(&json!({"runtime": "runc"}));
    let health = HealthCheck {
        command: ["/bin/sh", "-c", "grep -q 'NoNewPrivs:.1' /proc/self/status"].map(str::to_owned).to_vec(),
        window_s: 1,
        ..HealthCheck::default()
    };
    let release = device.watched(&format!("cat /proc/self/status; echo END; {IDLE}"), health);
    device.start(&release);
    let output = device.hear("watched", "END\n");
    assert_eq!((field(&output, "NoNewPrivs"), field(&output, "Seccomp")), ("1".to_owned(), "2".to_owned()));
    ok("probe", device.backend().probe(&release, &StepCx::detached()));
    device.stop(&release);
    assert_eq!(device.processes(), []);
    let missing = device.release("web", "1", &["/bin/nothing-here"], RunSpec::default());
    device.prepare(&missing);
    let (kind, words) = failed(device.try_activate(&missing));
    assert_eq!(kind, FailureKind::Invalid, "{words}");
}
