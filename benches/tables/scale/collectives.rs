//! What a message between nodes costs, and what collective operations cost by it (pure).
//!
//! The model is that of R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH",
//! Int. J. High Performance Computing Applications 19 (2005), 49-66: a message of n bytes takes a latency and n times a time per
//! byte, a node sends one and receives one at a time, and what is received is added up at a time per byte. The network has no
//! hot spots.
//!
//! Invariants: among the algorithms that are named here the cheapest is taken; one node sends nothing; where the number of nodes
//! is no power of two, steps are those of the next one.

/// A network between nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fabric {
    /// For the table.
    pub name: String,
    /// Seconds from the begin of an empty message to its arrival.
    pub latency: f64,
    /// Seconds that each byte takes beyond that.
    pub per_byte: f64,
    /// Seconds for each byte that is added up.
    pub add: f64,
}

/// An operation that all nodes take part in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exchange {
    /// A barrier whose ranks sleep between looks, at least and at most so many seconds, and so much longer than asked for.
    Meet {
        shortest: f64,
        longest: f64,
        late: f64,
    },
    /// So many bytes of each are added up, and all have the sum.
    Allreduce(usize),
    /// All have so many bytes of each.
    Allgather(usize),
}

/// Seconds of an operation, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Latencies.
    pub latency: f64,
    /// Bytes on their way, and adding them up.
    pub bandwidth: f64,
    /// Messages that have come and that nobody has looked for yet.
    pub asleep: f64,
    /// The algorithm.
    pub name: &'static str,
}

impl Cost {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.latency + self.bandwidth + self.asleep
    }
}

/// Of an algorithm that doubles what is reached.
fn steps(nodes: usize) -> f64 {
    f64::from(nodes.next_power_of_two().trailing_zeros())
}

/// An algorithm: its name, messages one after the other, bytes sent one after the other, bytes added up.
type Algorithm = (&'static str, f64, f64, f64);

impl Exchange {
    /// What it takes between so many nodes, by the algorithm that takes least, if the first of them has waited so long when the
    /// last one comes.
    pub fn cost(self, fabric: &Fabric, nodes: usize, waited: f64) -> Cost {
        if nodes < 2 {
            return Cost::default();
        }
        if let Exchange::Meet {
            shortest,
            longest,
            late,
        } = self
        {
            // A library goes on with a barrier only when it is called: each step may find its rank asleep, and the slowest chain of
            // steps decides. Pauses grow by a quarter, so their last one is a quarter of all before it and the first.
            let pause = (shortest + waited.max(0.0) / 4.0).min(longest) + late;
            return Cost {
                asleep: steps(nodes) * pause,
                ..Exchange::Allreduce(0).cost(fabric, nodes, waited)
            };
        }
        let mut least: Option<Cost> = None;
        for (name, messages, sent, added) in self.algorithms(nodes) {
            let cost = Cost {
                latency: messages * fabric.latency,
                bandwidth: sent * fabric.per_byte + added * fabric.add,
                asleep: 0.0,
                name,
            };
            if least.is_none_or(|least| cost.total() < least.total()) {
                least = Some(cost);
            }
        }
        least.unwrap_or_default()
    }

    fn algorithms(self, nodes: usize) -> Vec<Algorithm> {
        let steps = steps(nodes);
        let others = (nodes - 1) as f64;
        let part = others / nodes as f64;
        match self {
            Exchange::Meet { .. } => Vec::new(),
            Exchange::Allreduce(bytes) => {
                let bytes = bytes as f64;
                vec![
                    ("recursive doubling", steps, steps * bytes, steps * bytes),
                    (
                        "Rabenseifner",
                        2.0 * steps,
                        2.0 * part * bytes,
                        part * bytes,
                    ),
                    ("ring", 2.0 * others, 2.0 * part * bytes, part * bytes),
                ]
            }
            Exchange::Allgather(each) => {
                let sent = others * each as f64;
                vec![
                    ("recursive doubling", steps, sent, 0.0),
                    ("ring", others, sent, 0.0),
                ]
            }
        }
    }
}
