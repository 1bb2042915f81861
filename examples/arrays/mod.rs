//! Array expressions: a closure of the elements, computed for all of them in one pass, in parallel, into an output or in place.
//!
//! `maths` has the functions that a closure may use, `pieces` how arrays of any strides are cut and gone through.
//!
//! Invariants: an element's value does not depend on the number of workers, nor on how the arrays lie in memory; nothing is
//! written unless all shapes are the same.

mod maths;
mod pieces;

pub use maths::{Maths, Number};

use ndarray::{ArrayView, ArrayViewMut, Dimension};
use threadctl::Workers;
use threadctl::dispatch::{Pool, region_in};

/// Why nothing was computed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// An input has another shape than the output.
    #[error("input {input} has the shape {found:?}; wanted: {wanted:?}, as the output")]
    Shape {
        /// Which input, from 0.
        input: usize,
        /// Its shape.
        found: Vec<usize>,
        /// The output's.
        wanted: Vec<usize>,
    },
    /// The workers could not be started.
    #[error(transparent)]
    Workers(#[from] threadctl::Error),
}

/// `out = f(inputs)`, element by element.
///
/// Give the closure `#[inline(always)]`: what is not inlined gets no vector instructions.
///
/// ```
/// use ndarray::{Array1, array};
/// use threadctl_examples::arrays::into;
///
/// let (b, c) = (array![0.0, 1.0, 2.0], array![3.0, 4.0, 5.0]);
/// let mut a = Array1::zeros(3);
/// into(a.view_mut(), [b.view(), c.view()], "2".parse()?, #[inline(always)] |maths, [b, c]| maths.exp(b) + c)?;
/// assert!((a[1] - (1f64.exp() + 4.0)).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`Failed`].
pub fn into<T: Number, D: Dimension, const N: usize>(
    out: ArrayViewMut<'_, T, D>,
    inputs: [ArrayView<'_, T, D>; N],
    workers: Workers<'_>,
    f: impl Fn(&mut Maths, [T; N]) -> T + Sync,
) -> Result<(), Failed> {
    fit(&out, &inputs)?;
    let kernel = |out: &mut [T], inputs: [&[T]; N]| pieces::into(out, inputs, &f);
    on(workers, || pieces::all(out, inputs, false, &kernel))?;
    Ok(())
}

/// `a = f(a, inputs)`, element by element, in place.
///
/// ```
/// use ndarray::array;
/// use threadctl_examples::arrays::in_place;
///
/// let (mut a, b) = (array![1f32, 2.0], array![10f32, 20.0]);
/// in_place(a.view_mut(), [b.view()], "2".parse()?, #[inline(always)] |_, a, [b]| a + b)?;
/// assert_eq!(a, array![11.0, 22.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`Failed`].
pub fn in_place<T: Number, D: Dimension, const N: usize>(
    a: ArrayViewMut<'_, T, D>,
    inputs: [ArrayView<'_, T, D>; N],
    workers: Workers<'_>,
    f: impl Fn(&mut Maths, T, [T; N]) -> T + Sync,
) -> Result<(), Failed> {
    fit(&a, &inputs)?;
    let kernel = |a: &mut [T], inputs: [&[T]; N]| pieces::buffered(a, inputs, &f);
    on(workers, || pieces::all(a, inputs, true, &kernel))?;
    Ok(())
}

fn fit<T, D: Dimension, const N: usize>(
    out: &ArrayViewMut<'_, T, D>,
    inputs: &[ArrayView<'_, T, D>; N],
) -> Result<(), Failed> {
    match inputs.iter().position(|input| input.shape() != out.shape()) {
        None => Ok(()),
        Some(input) => Err(Failed::Shape {
            input,
            found: inputs[input].shape().to_vec(),
            wanted: out.shape().to_vec(),
        }),
    }
}

/// Runs `work` on so many workers. BLAS calls in it use one thread each while all of them are busy.
fn on<R: Send>(workers: Workers<'_>, work: impl FnOnce() -> R + Send) -> threadctl::Result<R> {
    match workers.as_pool() {
        Some(pool) => {
            let _region = region_in(pool)?;
            Ok(pool.install(work))
        }
        None => Pool::new(workers)?.install(work),
    }
}
