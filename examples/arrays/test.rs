//! Expressions against plain loops, on arrays that lie in memory in all ways; functions against exact values.
#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, array, s};
use threadctl::Workers;
use threadctl_examples::arrays::{Failed, in_place, into};

fn workers(text: &str) -> Workers<'static> {
    text.parse().unwrap()
}

fn numbers(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 31 + j * 17) % 101) as f64 / 7.0 - 5.0
    })
}

/// All ways in which one array can lie in memory, with what holds it.
fn layouts(array: &Array2<f64>) -> Vec<Array2<f64>> {
    let (rows, columns) = array.dim();
    let mut in_columns = Array2::zeros((rows, columns).f());
    in_columns.assign(array);
    let mut wide = Array2::zeros((2 * rows, 3 * columns));
    wide.slice_mut(s![..;2, ..;3]).assign(array);
    let mut backwards = Array2::zeros((rows, columns));
    backwards.slice_mut(s![..;-1, ..;-1]).assign(array);
    vec![array.clone(), in_columns, wide, backwards]
}

/// The view of `layouts(..)[way]` that has the numbers.
fn seen(way: usize, array: &Array2<f64>) -> ArrayView2<'_, f64> {
    match way {
        2 => array.slice(s![..;2, ..;3]),
        3 => array.slice(s![..;-1, ..;-1]),
        _ => array.view(),
    }
}

#[test]
fn every_layout_of_every_array_gives_the_same_elements() {
    for shape in [(1, 1), (3, 700), (700, 3), (0, 4), (129, 515)] {
        let (b, c) = (
            numbers(shape.0, shape.1),
            numbers(shape.0, shape.1) * 0.5 + 1.0,
        );
        let plain = Array2::from_shape_fn(shape, |at| b[at] * c[at] + b[at]);
        let (bs, cs) = (layouts(&b), layouts(&c));
        for way in 0..4 {
            for out_way in 0..4 {
                let inputs = [seen(way, &bs[way]), seen(3 - way, &cs[3 - way])];
                let mut out = layouts(&Array2::from_elem(shape, f64::NAN)).swap_remove(out_way);
                let mut view = match out_way {
                    2 => out.slice_mut(s![..;2, ..;3]),
                    3 => out.slice_mut(s![..;-1, ..;-1]),
                    _ => out.view_mut(),
                };
                into(view.view_mut(), inputs, workers("2"), |_, [b, c]| b * c + b).unwrap();
                assert_eq!(view, plain, "{shape:?} {way} {out_way}");
                in_place(view.view_mut(), inputs, workers("2"), |_, a, [b, c]| {
                    a - b - b * c
                })
                .unwrap();
                assert!(
                    view.iter().all(|it| it.abs() < 1e-12),
                    "{shape:?} {way} {out_way}"
                );
            }
        }
    }
}

#[test]
fn many_elements_are_the_same_with_any_workers_and_as_a_broadcast_row() {
    let row = Array1::from_shape_fn(1000, |at| at as f64 * 1e-2);
    let b = row.broadcast((300, 1000)).unwrap();
    let c = numbers(300, 1000);
    let expression = |workers| {
        let mut out = Array2::zeros((300, 1000));
        into(
            out.view_mut(),
            [b, c.view()],
            workers,
            #[inline(always)]
            |maths, [b, c]| maths.exp(-b) * c + maths.sin(b),
        )
        .unwrap();
        out
    };
    let one = expression(workers("1"));
    assert_eq!(one, expression(workers("3")));
    for ((at, value), c) in one.indexed_iter().zip(&c) {
        let plain = (-row[at.1]).exp() * c + row[at.1].sin();
        assert!((value - plain).abs() < 1e-14, "{at:?}: {value} {plain}");
    }
}

#[test]
fn large_outputs_that_begin_anywhere_are_written_whole() {
    let b = Array1::from_shape_fn(2_200_003, |at| at as f64);
    for first in [0, 1, 3] {
        let b = b.slice(s![first..]);
        let mut out = Array1::zeros(b.len() + 2);
        let end = out.len() - 1;
        let view = out.slice_mut(s![1..end]);
        into(view, [b], workers("2"), |_, [b]| b + 1.0).unwrap();
        assert_eq!((out[0], out[out.len() - 1]), (0.0, 0.0));
        assert!(
            out.slice(s![1..end])
                .iter()
                .zip(b)
                .all(|(out, b)| *out == b + 1.0)
        );
    }
    let b = b.mapv(|it| it as f32);
    let many = ndarray::concatenate![Axis(0), b, b];
    let mut out = Array1::zeros(many.len());
    into(
        out.slice_mut(s![1..]),
        [many.slice(s![1..])],
        workers("2"),
        |_, [b]| b * 2.0,
    )
    .unwrap();
    assert!(
        out.iter()
            .zip(&many)
            .skip(1)
            .all(|(out, b)| *out == b * 2.0)
    );
}

/// The distance from a number to the next larger one in f64.
fn unit(number: f64) -> f64 {
    number.abs().next_up() - number.abs()
}

/// The same in f32.
fn unit_f32(number: f64) -> f64 {
    let number = number.abs() as f32;
    f64::from(number.next_up()) - f64::from(number)
}

/// From where the exponent is least to the end of the domain of `sin`, both signs; and the neighbours of multiples of pi / 2, where a sine
/// is lost that is not reduced with digits enough.
fn spread() -> Vec<f64> {
    let magnitudes = (0..20_000).map(|at| 2f64.powf(f64::from(at) / 20_000.0 * 39.93 - 20.0));
    let multiples = (1..636_000).step_by(37);
    let multiples = multiples.map(|at| f64::from(at) * std::f64::consts::FRAC_PI_2);
    let near = multiples.flat_map(|it| [it.next_down(), it, it.next_up()]);
    let all: Vec<f64> = magnitudes.chain(near).flat_map(|it| [it, -it]).collect();
    assert!(all.iter().all(|it| it.abs() <= SIN_DOMAIN));
    all
}

/// Beyond, sines are the standard library's.
const SIN_DOMAIN: f64 = 1e6;

/// Holds a function, found by `ours`, against `exact`, in units of the last place.
fn assert_within(
    limit: f64,
    numbers: &[f64],
    ours: impl Fn(&[f64]) -> Vec<f64>,
    exact: impl Fn(f64) -> f64,
    unit: fn(f64) -> f64,
) {
    let found = ours(numbers);
    assert_eq!(found.len(), numbers.len());
    for (found, x) in found.iter().zip(numbers) {
        let exact = exact(*x);
        let apart = (found - exact).abs() / unit(exact);
        // A NaN is not near to anything.
        assert!(apart <= limit, "{x:e}: {found:e} {exact:e}, {apart} units");
    }
}

#[test]
fn functions_are_as_exact_as_their_page_says() {
    let double = |f: fn(&mut threadctl_examples::arrays::Maths, f64) -> f64| {
        move |numbers: &[f64]| {
            let mut out = Array1::zeros(numbers.len());
            into(
                out.view_mut(),
                [numbers.into()],
                workers("2"),
                |maths, [x]| f(maths, x),
            )
            .unwrap();
            out.to_vec()
        }
    };
    let single = |f: fn(&mut threadctl_examples::arrays::Maths, f32) -> f32| {
        move |numbers: &[f64]| {
            let numbers = Array1::from_iter(numbers.iter().map(|x| *x as f32));
            let mut out = Array1::zeros(numbers.len());
            into(
                out.view_mut(),
                [numbers.view()],
                workers("2"),
                |maths, [x]| f(maths, x),
            )
            .unwrap();
            out.iter().map(|x| f64::from(*x)).collect()
        }
    };
    let all = spread();
    let within =
        |most: f64| -> Vec<f64> { all.iter().copied().filter(|x| x.abs() < most).collect() };
    // The standard library's are within half a unit and a little.
    assert_within(1.5, &within(700.0), double(|m, x| m.exp(x)), f64::exp, unit);
    assert_within(2.0, &all, double(|m, x| m.sin(x)), f64::sin, unit);
    let rounded = |f: fn(f64) -> f64| move |x: f64| f(f64::from(x as f32));
    let (exp, sin) = (rounded(f64::exp), rounded(f64::sin));
    assert_within(2.0, &within(87.0), single(|m, x| m.exp(x)), exp, unit_f32);
    assert_within(1.0, &all, single(|m, x| m.sin(x)), sin, unit_f32);
    // Beyond the domain, the same bits.
    let large: Vec<f64> = (1..2000)
        .map(|at| SIN_DOMAIN.next_up() * f64::from(at))
        .collect();
    let found = double(|m, x| m.sin(x))(&large);
    assert!(found.iter().zip(&large).all(|(found, x)| *found == x.sin()));
}

#[test]
fn an_argument_outside_of_the_domain_changes_its_own_element_only() {
    let within = numbers(300, 400);
    let mut with = within.clone();
    for at in [(0, 0), (7, 399), (150, 200), (299, 1)] {
        with[at] = 3e6;
    }
    for (way, array) in layouts(&with).iter().enumerate() {
        let sines = |array: ArrayView2<'_, f64>| {
            let mut out = Array2::zeros(array.dim());
            into(out.view_mut(), [array], workers("2"), |maths, [x]| {
                maths.sin(x)
            })
            .unwrap();
            let mut in_its_place = array.to_owned();
            in_place(in_its_place.view_mut(), [], workers("2"), |maths, x, []| {
                maths.sin(x)
            })
            .unwrap();
            assert_eq!(in_its_place, out);
            out
        };
        let (found, mut plain) = (sines(seen(way, array)), sines(within.view()));
        for (plain, x) in plain.iter_mut().zip(&with).filter(|(_, x)| **x == 3e6) {
            *plain = x.sin();
        }
        assert_eq!(found, plain, "{way}");
    }
}

#[test]
fn the_ends_of_the_numbers_are_as_in_the_standard_library() {
    let ends = array![
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        709.78,
        709.79,
        -745.13,
        -745.14,
        -708.5,
        1e-300,
        1e7,
        -1e22,
        1.7e308
    ];
    let mut out = Array1::zeros(ends.len());
    into(out.view_mut(), [ends.view()], workers("1"), |maths, [x]| {
        maths.exp(x)
    })
    .unwrap();
    for (found, x) in out.iter().zip(&ends) {
        let exact = x.exp();
        // Below the normal numbers a unit is the smallest number.
        assert!(
            found == &exact
                || (found.is_nan() && exact.is_nan())
                || (found - exact).abs() <= exact * 3e-16 + 5e-324,
            "exp {x}: {found} {exact}"
        );
    }
    into(out.view_mut(), [ends.view()], workers("1"), |maths, [x]| {
        maths.sin(x)
    })
    .unwrap();
    for (found, x) in out.iter().zip(&ends) {
        let exact = x.sin();
        let ours = 0.0 < x.abs() && x.abs() <= SIN_DOMAIN;
        assert!(
            found.to_bits() == exact.to_bits()
                || (found.is_nan() && exact.is_nan())
                || (ours && (found - exact).abs() <= 2.0 * unit(exact)),
            "sin {x}: {found} {exact}"
        );
    }
    // In place, what is computed twice is computed from what was there.
    let mut a = Array1::from_elem(2000, 1.0);
    a[700] = 1e9;
    in_place(a.view_mut(), [], workers("1"), |maths, a, []| maths.sin(a)).unwrap();
    assert_eq!(a[700], 1e9f64.sin());
    assert!(
        a.iter()
            .enumerate()
            .all(|(at, a)| at == 700 || (a - 1f64.sin()).abs() < 1e-15)
    );
}

/// `norm.isf` of scipy 1.17.1, which mpmath confirms to 16 digits.
#[test]
fn isf_is_scipys() {
    let known = ISF;
    let p = Array1::from_iter(known.iter().map(|it| it.0));
    let mut out = Array1::zeros(p.len());
    into(out.view_mut(), [p.view()], workers("1"), |maths, [p]| {
        maths.isf(p)
    })
    .unwrap();
    for (found, (p, exact)) in out.iter().zip(known) {
        assert!(
            (found - exact).abs() <= 1e-15 * exact.abs().max(1e-1),
            "{p:e}: {found} {exact}"
        );
    }
    for p in [-0.1, 1.1, f64::NAN] {
        let mut out = array![0.0];
        into(
            out.view_mut(),
            [array![p].view()],
            workers("1"),
            |maths, [p]| maths.isf(p),
        )
        .unwrap();
        assert!(out[0].is_nan());
    }
    let mut out = array![0f32, 0.0, 0.0];
    let p = array![0f32, 0.025, 1.0];
    into(out.view_mut(), [p.view()], workers("1"), |maths, [p]| {
        maths.isf(p)
    })
    .unwrap();
    assert_eq!((out[0], out[2]), (f32::INFINITY, f32::NEG_INFINITY));
    assert!((out[1] - 1.959_964).abs() < 1e-6);
}

const ISF: [(f64, f64); 8] = [
    (1e-300, 37.0470962993612),
    (1e-20, 9.262340089798407),
    (1e-05, 4.264890793922825),
    (0.025, 1.9599639845400543),
    (0.3, 0.5244005127080408),
    (0.5, 0.0),
    (0.7, -0.5244005127080407),
    (0.999999, -4.753424308817087),
];

#[test]
fn what_does_not_fit_is_named_and_nothing_is_written() {
    let mut out = Array2::<f64>::zeros((2, 3));
    let good = Array2::ones((2, 3));
    let bad = Array2::ones((3, 2));
    let error = into(
        out.view_mut(),
        [good.view(), bad.view()],
        workers("1"),
        |_, [b, c]| b + c,
    );
    let error = error.unwrap_err();
    assert!(matches!(error, Failed::Shape { input: 1, .. }));
    assert_eq!(
        error.to_string(),
        "input 1 has the shape [3, 2]; wanted: [2, 3], as the output"
    );
    assert_eq!(out.sum_axis(Axis(0)).sum(), 0.0);
}
