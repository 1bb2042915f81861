//! The kernel's own account of every thread that ends: what it ran, and what it waited for a CPU (taskstats, by generic netlink; see
//! the kernel's Documentation/accounting/taskstats.rst, and linux/taskstats.h for the places of fields). Needs root.
//!
//! Invariant: nothing is lost: the kernel says so when a record did not find room, and then this panics. Threads that were killed
//! are in it too.

use rustix::net::netlink::{GENERIC, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its process.
    pub pid: u32,
    /// On CPUs, in seconds.
    pub ran: f64,
    /// Waiting for one, in seconds.
    pub waited: f64,
}

/// A listener, from [`Accounts::begin`] to [`Accounts::end`].
#[derive(Debug)]
pub struct Accounts {
    ended: Arc<AtomicBool>,
    listener: JoinHandle<Vec<Ended>>,
}

/// Headers of a message: netlink's, and generic netlink's.
const HEADERS: usize = 16 + 4;
const REQUEST: u16 = 1;
/// The family that knows all families, and how it is asked.
const CONTROLLER: u16 = 16;
const GET_FAMILY: (u8, u16) = (3, 2);
const FAMILY_NUMBER: u16 = 1;
/// To taskstats: send me what ends on these CPUs.
const REGISTER: (u8, u16) = (1, 3);
/// Attributes: a thread's account, with its number and its statistics in it.
const OF_THREAD: u16 = 4;
const NUMBER: u16 = 1;
const STATISTICS: u16 = 3;
/// Netlink's word for an answer that is only an error code.
const ERROR: u16 = 2;

/// Room for records until they are read.
const BUFFER: usize = 16 << 20;

impl Accounts {
    pub fn begin() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(GENERIC),
        )
        .expect("a netlink socket");
        bind(&socket, &SocketAddrNetlink::new(0, 0)).expect("a place for it");
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).expect("root");
        let patience = Some(Duration::from_millis(100));
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, patience).expect("a timeout");
        ask(&socket, CONTROLLER, GET_FAMILY, b"TASKSTATS\0");
        let mut buffer = vec![0; 1 << 16];
        let family = family(heard(&socket, &mut buffer).expect("an answer"));
        let cpus = std::fs::read_to_string("/sys/devices/system/cpu/possible").expect("CPUs");
        ask(
            &socket,
            family,
            REGISTER,
            format!("{}\0", cpus.trim()).as_bytes(),
        );

        let ended = Arc::new(AtomicBool::new(false));
        let stop = ended.clone();
        let listener = std::thread::spawn(move || {
            let mut all = Vec::new();
            loop {
                match heard(&socket, &mut buffer) {
                    Some(message) => all.extend(threads(message)),
                    // All that was sent before is read.
                    None if stop.load(Ordering::Relaxed) => return all,
                    None => {}
                }
            }
        });
        Accounts { ended, listener }
    }

    /// The threads that have ended meanwhile.
    pub fn end(self) -> Vec<Ended> {
        self.ended.store(true, Ordering::Relaxed);
        self.listener.join().expect("it reads until it is told")
    }
}

/// The family's number, by the controller's answer.
fn family(answer: &[u8]) -> u16 {
    let mut numbers = attributes(&answer[HEADERS..]).filter(|(kind, _)| *kind == FAMILY_NUMBER);
    let (_, number) = numbers.next().expect("a kernel with CONFIG_TASKSTATS");
    u16::from_ne_bytes([number[0], number[1]])
}

/// Sends a message with one attribute.
fn ask(socket: &OwnedFd, family: u16, (command, attribute): (u8, u16), value: &[u8]) {
    let length = 4 + value.len();
    let padded = length.next_multiple_of(4);
    let mut message = Vec::with_capacity(HEADERS + padded);
    message.extend(((HEADERS + padded) as u32).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([command, 1, 0, 0]);
    message.extend((length as u16).to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(HEADERS + padded, 0);
    let sent = send(socket, &message, SendFlags::empty()).expect("a message");
    assert_eq!(sent, message.len());
}

/// The next message; `None` if there is none for a while.
fn heard<'b>(socket: &OwnedFd, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    match recv(socket, &mut *buffer, RecvFlags::empty()) {
        Ok((length, _)) => {
            let kind = u16::from_ne_bytes([buffer[4], buffer[5]]);
            assert_ne!(kind, ERROR, "{:?}", &buffer[HEADERS - 4..length]);
            Some(&buffer[..length])
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
        Err(error) => panic!("records of ended threads are lost: {error}"),
    }
}

/// The attributes one after another: what each is, and its value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The threads that a message tells of: one, as a rule.
fn threads(message: &[u8]) -> Vec<Ended> {
    let of_threads = attributes(&message[HEADERS..]).filter(|(kind, _)| *kind == OF_THREAD);
    of_threads.map(|(_, account)| thread(account)).collect()
}

fn thread(account: &[u8]) -> Ended {
    let of = |kind| {
        let mut found = attributes(account).filter(|(known, _)| *known == kind);
        found.next().expect("a number and statistics").1
    };
    let statistics = of(STATISTICS);
    let number = |bytes: &[u8], at: usize| {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    let seconds = |at: usize| {
        let bytes = statistics[at..at + 8].try_into().expect("eight bytes");
        u64::from_ne_bytes(bytes) as f64 * 1e-9
    };
    // ac_pid: whether fields are where linux/taskstats.h has them.
    let tid = number(statistics, 128);
    assert_eq!(tid, number(of(NUMBER), 0), "fields have other places");
    // cpu_delay_total, cpu_run_virtual_total, ac_tgid.
    Ended {
        waited: seconds(24),
        ran: seconds(72),
        pid: number(statistics, 368),
    }
}
