//! Two network namespaces as two hosts: ranks that reach each other by TCP alone, and a budget on each.
//!
//! Each namespace has an end of one virtual cable, and no other link; `mpirun` runs in the first and starts what belongs to the second
//! by a script in place of ssh. Names of hosts are those of namespaces of their own (UTS), since Open MPI tells hosts apart by name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::launch::{KMEANS, SELECTION, document, done, limited, number, rank_cores, read};

/// The hosts, until this is dropped.
struct Hosts {
    names: [String; 2],
}

const ADDRESSES: [&str; 2] = ["10.213.77.1", "10.213.77.2"];
const NETWORK: &str = "10.213.77.0/24";

impl Hosts {
    fn new() -> Self {
        remove_left_ones();
        let id = std::process::id();
        let hosts = Hosts {
            names: [format!("tcm{id}a"), format!("tcm{id}b")],
        };
        let [a, b] = &hosts.names;
        for name in [a, b] {
            ip(&["netns", "add", name]);
        }
        // Made inside, so that nothing is on the machine's own network at any time.
        ip(&[
            "-n", a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", b,
        ]);
        for (name, address) in hosts.names.iter().zip(ADDRESSES) {
            ip(&[
                "-n",
                name,
                "addr",
                "add",
                &format!("{address}/24"),
                "dev",
                "wire",
            ]);
            ip(&["-n", name, "link", "set", "wire", "up"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        hosts
    }

    /// What has come over the cable to the second host.
    fn received(&self) -> u64 {
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.names[1],
                "cat",
                "/sys/class/net/wire/statistics/rx_bytes",
            ])
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    /// A program on both, with so many ranks each.
    fn run(&self, each: u32, program: &str, args: &[&str]) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        self.write_agent(&agent);
        let [a, b] = ADDRESSES;
        let mut command = limited("ip", 150);
        command
            .env("TMPDIR", folder.path())
            .args([
                "netns",
                "exec",
                &self.names[0],
                "unshare",
                "--uts",
                "sh",
                "-c",
            ])
            .args([r#"hostname "$0" && exec "$@""#, &self.names[0]])
            .args([
                "mpirun",
                "--allow-run-as-root",
                "--oversubscribe",
                "--bind-to",
                "none",
            ])
            .args(["--host", &format!("{a}:{each},{b}:{each}")])
            .args(["--mca", "plm_rsh_agent", agent.to_str().unwrap()])
            // Nothing but TCP, between these addresses.
            .args(["--mca", "btl", "tcp,self", "--mca", "pml", "ob1"])
            .args(["--mca", "oob_tcp_if_include", NETWORK])
            .args(["--mca", "btl_tcp_if_include", NETWORK])
            .args([
                "-x",
                "THREADCTL_TUNING",
                "-n",
                &(2 * each).to_string(),
                program,
            ])
            .args(args)
            .arg("--json");
        read(&done(&mut command))
    }

    /// What is called as ssh would be: a host, and a command for its shell.
    fn write_agent(&self, path: &Path) {
        let [first, second] = &self.names;
        let script = format!(
            "#!/bin/sh\n\
             case \"$1\" in\n\
             {}) host={first} ;;\n\
             {}) host={second} ;;\n\
             *) echo \"no host $1\" >&2; exit 255 ;;\n\
             esac\n\
             shift\n\
             exec ip netns exec \"$host\" unshare --uts sh -c \"hostname $host && $*\"\n",
            ADDRESSES[0], ADDRESSES[1]
        );
        fs::write(path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Those of tests that were killed.
fn remove_left_ones() {
    let list = Command::new("ip").args(["netns", "list"]).output();
    let list = list.map(|output| output.stdout).unwrap_or_default();
    for line in String::from_utf8_lossy(&list).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let id = name
            .strip_prefix("tcm")
            .map(|id| id.trim_end_matches(['a', 'b']));
        if let Some(id) = id
            && !Path::new("/proc").join(id).exists()
        {
            remove(name);
        }
    }
}

fn remove(name: &str) {
    // Whatever a failed run has left there.
    let pids = Command::new("ip").args(["netns", "pids", name]).output();
    let pids = pids.map(|output| output.stdout).unwrap_or_default();
    for pid in String::from_utf8_lossy(&pids).split_whitespace() {
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    // The cable goes with its ends.
    let _ = Command::new("ip").args(["netns", "del", name]).status();
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.names.iter().for_each(|name| remove(name));
    }
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output();
    let output = output
        .unwrap_or_else(|error| panic!("ip of iproute2: {error}; `cargo xtask setup` installs it"));
    assert!(
        output.status.success(),
        "this test makes two network namespaces, which takes root and a kernel that allows it: ip {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn two_hosts_compute_the_same_bits_over_tcp_and_have_a_budget_each() {
    let hosts = Hosts::new();
    let machine = u64::from(threadctl::cores().count());
    let kmeans = [
        "--points",
        "20011",
        "--dimensions",
        "9",
        "--block",
        "512",
        "--rounds",
        "5",
    ];
    let selection = ["--rows", "300", "--candidates", "6", "--rounds", "2"];
    for (program, args) in [(KMEANS, &kmeans[..]), (SELECTION, &selection)] {
        let one = document(1, program, args);
        for each in [1, 2] {
            let two = hosts.run(each, program, args);
            assert_eq!(two["digest"], one["digest"], "{two}");
            assert_eq!(two["result"], one["result"]);
            assert_eq!(number(&two, "hosts"), 2, "{two}");
            assert_eq!(number(&two, "ranks"), u64::from(2 * each));
            // They are one machine, and know nothing of each other: each has a budget of all its cores.
            assert_eq!(two["sharing"], "made");
            assert_eq!(number(&two, "machine_cores"), 2 * machine, "{two}");
            if u64::from(each) <= machine {
                assert_eq!(rank_cores(&two).iter().sum::<u64>(), 2 * machine, "{two}");
            }
        }
    }
}

/// What more iterations send, which starting the ranks does not.
#[test]
fn the_sums_of_two_hosts_go_over_the_cable() {
    let hosts = Hosts::new();
    let run = |rounds: &str| {
        let args = ["--points", "20011", "--dimensions", "40", "--block", "64"];
        let args = [&args[..], &["--clusters", "40", "--rounds", rounds]].concat();
        let before = hosts.received();
        let done = hosts.run(1, KMEANS, &args);
        let iterations = number(&done, "iterations");
        // Those of the one host, of two.
        let sums = number(&done, "reduced_bytes") * iterations / 2;
        (hosts.received() - before, sums, iterations)
    };
    let (few, many) = (run("1"), run("12"));
    assert!(many.2 > few.2 + 5, "{few:?}, {many:?}");
    let (came, sums) = (many.0.saturating_sub(few.0), many.1 - few.1);
    assert!(sums > 300_000, "{few:?}, {many:?}");
    assert!(2 * came > sums, "{few:?}, {many:?}");
}
