//! What a message between two processes of this machine takes: a ping-pong over TCP on loopback, over a Unix socket, and over memory
//! that both have mapped. No MPI, and no network: what a library adds and what a network takes is not in it.
//!
//! This program starts itself again as the side that sends back what it gets. Invariants: a message begins with its length in
//! bytes, eight of them at least; one of length zero ends the other side; one way is half of a round trip.

use super::collectives::Fabric;
use crate::common::{Spread, spread, without_settings};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Set for the other side: over what, and where.
pub const ROLE: &str = "THREADCTL_BENCH_SCALE_ECHO";

const ROUNDS: usize = 31;
/// Bytes of a short and of a long message, and how often they go and come in a round.
const SHORT: (usize, u32) = (8, 1000);
const LONG: (usize, u32) = (1 << 20, 30);

/// Two ways in shared memory: a number that says how much has come, alone in its line of the cache, and the bytes.
const PAGE: usize = 4096;
const WAY: usize = PAGE + LONG.0;

/// One way of sending.
pub struct Measured {
    pub name: &'static str,
    /// Seconds for a short message, one way.
    pub latency: Spread,
    /// Bytes a second beyond that.
    pub bandwidth: Spread,
}

impl Measured {
    /// As a network between nodes.
    pub fn fabric(&self, name: &str, add: f64) -> Fabric {
        Fabric {
            name: name.to_owned(),
            latency: self.latency.median,
            per_byte: 1.0 / self.bandwidth.median,
            add,
        }
    }
}

/// All three.
pub fn measure() -> [Measured; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let tcp = {
        let child = other(&format!("tcp:{port}"));
        let (stream, _) = listener.accept().expect("the other side");
        stream.set_nodelay(true).expect("an option of TCP");
        ping("TCP on loopback", stream, child)
    };
    let socket = folder.path().join("socket");
    let unix = {
        let listener = UnixListener::bind(&socket).expect("a socket");
        let child = other(&format!("unix:{}", socket.display()));
        let (stream, _) = listener.accept().expect("the other side");
        ping("a Unix socket", stream, child)
    };
    let memory = {
        let file = folder.path().join("memory");
        let handle = std::fs::File::create_new(&file).expect("a file");
        handle.set_len(2 * WAY as u64).expect("room");
        let child = other(&format!("memory:{}", file.display()));
        ping("shared memory", Memory::of(&file, 0), child)
    };
    [tcp, unix, memory]
}

/// The other side.
pub fn child(role: &str) {
    match role.split_once(':').expect("over what, and where") {
        ("tcp", port) => {
            let port: u16 = port.parse().expect("a port");
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("the first side");
            stream.set_nodelay(true).expect("an option of TCP");
            echo(stream);
        }
        ("unix", path) => echo(UnixStream::connect(path).expect("the first side")),
        ("memory", path) => echo(Memory::of(Path::new(path), 1)),
        _ => panic!("{role:?}"),
    }
}

fn other(role: &str) -> Child {
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    without_settings(&mut command)
        .env(ROLE, role)
        .spawn()
        .expect("it starts")
}

fn ping(name: &'static str, mut stream: impl Read + Write, mut child: Child) -> Measured {
    let (mut latencies, mut bandwidths) = (Vec::new(), Vec::new());
    let mut one_way = |(bytes, turns): (usize, u32)| {
        let mut message = vec![1; bytes];
        message[..8].copy_from_slice(&(bytes as u64).to_le_bytes());
        let start = Instant::now();
        for _ in 0..turns {
            stream.write_all(&message).expect("it is sent");
            stream.read_exact(&mut message).expect("it comes back");
        }
        start.elapsed().as_secs_f64() / f64::from(2 * turns)
    };
    // The first round warms up.
    for round in 0..=ROUNDS {
        let (short, long) = (one_way(SHORT), one_way(LONG));
        if round > 0 {
            latencies.push(short);
            bandwidths.push((LONG.0 - SHORT.0) as f64 / (long - short));
        }
    }
    stream.write_all(&0_u64.to_le_bytes()).expect("it is sent");
    assert!(child.wait().expect("it ends").success(), "{name}");
    Measured {
        name,
        latency: spread(latencies),
        bandwidth: spread(bandwidths),
    }
}

fn echo(mut stream: impl Read + Write) {
    let mut message = vec![0; LONG.0];
    loop {
        let mut length = [0; 8];
        stream.read_exact(&mut length).expect("a length");
        let bytes = u64::from_le_bytes(length) as usize;
        if bytes == 0 {
            return;
        }
        message[..8].copy_from_slice(&length);
        stream.read_exact(&mut message[8..bytes]).expect("the rest");
        stream.write_all(&message[..bytes]).expect("it is sent");
    }
}

/// One side of the shared memory. What a side writes has been read by the other one before it writes again, since that answers.
struct Memory {
    start: *mut u8,
    /// Where it writes: the first way or the second.
    out: usize,
    /// Bytes of the message from the other side that are still there, and where they begin; all bytes so far, sent and received.
    left: (usize, usize),
    sent: u64,
    seen: u64,
}

impl Memory {
    fn of(path: &Path, side: usize) -> Self {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .expect("the file");
        let (both, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: nothing else is there yet; the file has so many bytes.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * WAY,
                both,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "it is mapped");
        Memory {
            start: start.cast(),
            out: side,
            left: (0, 0),
            sent: 0,
            seen: 0,
        }
    }

    fn way(&self, way: usize) -> (&AtomicU64, *mut u8) {
        // SAFETY: it is mapped for as long as the process lives, begins a page, and both sides use it as an atomic.
        unsafe {
            let way = self.start.add(way * WAY);
            (AtomicU64::from_ptr(way.cast()), way.add(PAGE))
        }
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.sent += bytes.len() as u64;
        let (count, to) = self.way(self.out);
        // SAFETY: messages are no longer than the room; the other side waits for the count.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        count.store(self.sent, Ordering::Release);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Read for Memory {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let (count, from) = self.way(1 - self.out);
        let mut looks = 0_u32;
        let (mut left, mut at) = self.left;
        let mut seen = self.seen;
        if left == 0 && !bytes.is_empty() {
            while count.load(Ordering::Acquire) == seen {
                looks += 1;
                // Where the other side wants this core it is to have it.
                if looks.is_multiple_of(1 << 14) {
                    std::thread::yield_now();
                }
                std::hint::spin_loop();
            }
            let now = count.load(Ordering::Acquire);
            (left, at) = ((now - seen) as usize, 0);
            seen = now;
        }
        let taken = left.min(bytes.len());
        // SAFETY: so many bytes are there, and the other side writes no more before it is answered.
        unsafe {
            from.add(at)
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), taken)
        };
        self.left = (left - taken, at + taken);
        self.seen = seen;
        Ok(taken)
    }
}
