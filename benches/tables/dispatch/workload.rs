//! The nested programs: products in parallel loops, each with an elementwise pass.

use rayon::prelude::*;
use threadctl::dispatch::{Blas, region};

/// How a run arranges rayon and BLAS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One after the other, in one thread: what the bound is made of.
    Sequential,
    /// In parallel, calls as they are.
    Loop,
    /// In parallel, rayon work in regions.
    Region,
}

/// A matrix product of one item, and the square matrices that it needs.
struct Item {
    n: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
}

impl Item {
    fn new(n: usize) -> Self {
        let fill = |step: usize| {
            (0..n * n)
                .map(|at| (at % step) as f64 / step as f64)
                .collect()
        };
        Item {
            n,
            a: fill(17),
            b: fill(13),
            c: vec![0.0; n * n],
        }
    }

    fn multiply(&mut self, blas: &Blas) {
        let n = self.n as isize;
        // SAFETY: three matrices of n x n.
        unsafe {
            blas.gemm(
                b'N',
                b'N',
                n,
                n,
                n,
                1.0,
                self.a.as_ptr(),
                n,
                self.b.as_ptr(),
                n,
                0.0,
                self.c.as_mut_ptr(),
                n,
            )
        }
        .expect("sizes fit");
    }
}

/// One of the programs.
pub struct Workload {
    pub name: &'static str,
    kind: Kind,
    items: Vec<Item>,
    elements: Vec<f64>,
}

enum Kind {
    /// A parallel loop over products, then the elementwise pass.
    Products,
    /// One large product beside a parallel loop over small ones.
    Beside,
    /// The products are called by threads of the program's own.
    Outside,
    /// Product, pass, product, pass, each in its turn.
    Pipeline,
}

/// How many products each outside thread makes, one after the other.
const EACH: usize = 40;

/// Elements of the pass.
const ELEMENTS: usize = 1 << 19;

/// All of them.
pub fn all() -> Vec<Workload> {
    let of = |name, kind, sizes: &[(usize, usize)]| Workload {
        name,
        kind,
        items: sizes
            .iter()
            .flat_map(|&(count, n)| (0..count).map(move |_| Item::new(n)))
            .collect(),
        elements: (0..ELEMENTS).map(|at| at as f64 * 1e-6).collect(),
    };
    vec![
        of("64 of 64", Kind::Products, &[(64, 64)]),
        of("16 of 256", Kind::Products, &[(16, 256)]),
        of("8 of 512", Kind::Products, &[(8, 512)]),
        of("3 of 1024", Kind::Products, &[(3, 1024)]),
        of("5 of 1024", Kind::Products, &[(5, 1024)]),
        of(
            "one of 2048 beside 200 of 96",
            Kind::Beside,
            &[(1, 2048), (200, 96)],
        ),
        of(
            "6 outside threads, 40 of 512 each",
            Kind::Outside,
            &[(6, 512)],
        ),
        of("pipeline of 4 of 512", Kind::Pipeline, &[(4, 512)]),
    ]
}

impl Workload {
    /// Whether its products are called by threads of its own.
    pub fn is_outside(&self) -> bool {
        matches!(self.kind, Kind::Outside)
    }

    /// Its first product alone, from the calling thread.
    pub fn product(&mut self, blas: &Blas) {
        self.items[0].multiply(blas);
    }

    /// Runs it once in the pool that the caller is in.
    pub fn run(&mut self, blas: &Blas, mode: Mode) {
        let in_region = || (mode == Mode::Region).then(|| region().expect("a region begins"));
        let items = &mut self.items;
        let elements = &mut self.elements;
        if mode == Mode::Sequential {
            for item in items.iter_mut() {
                let times = if matches!(self.kind, Kind::Outside) {
                    EACH
                } else {
                    1
                };
                (0..times).for_each(|_| item.multiply(blas));
                if matches!(self.kind, Kind::Pipeline) {
                    elements.iter_mut().for_each(pass);
                }
            }
            elements.iter_mut().for_each(pass);
            return;
        }
        match self.kind {
            Kind::Products => {
                let region = in_region();
                items
                    .par_iter_mut()
                    .with_max_len(1)
                    .for_each(|item| item.multiply(blas));
                drop(region);
            }
            Kind::Beside => {
                let _region = in_region();
                let (large, small) = items.split_at_mut(1);
                rayon::join(
                    || large[0].multiply(blas),
                    || small.par_iter_mut().for_each(|item| item.multiply(blas)),
                );
            }
            Kind::Outside => {
                let _region = in_region();
                std::thread::scope(|scope| {
                    for item in items {
                        scope.spawn(|| {
                            (0..EACH).for_each(|_| item.multiply(blas));
                            super::waited::ends();
                        });
                    }
                });
            }
            Kind::Pipeline => {
                for item in items {
                    item.multiply(blas);
                    let _region = in_region();
                    elements.par_iter_mut().with_min_len(4096).for_each(pass);
                }
            }
        }
        let _region = in_region();
        elements.par_iter_mut().with_min_len(4096).for_each(pass);
    }
}

/// The elementwise work.
fn pass(value: &mut f64) {
    *value = value.sin() + 1e-6;
}
