//! Both methods against all pairs by the angle itself, and against each other at sizes around every edge of the loop.
#![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use ndarray::{Array2, array, aview1, s};
use threadctl_examples::contaminants::{BadCatalogue, Method, Sphere, clean};

/// The slow and plain answer: angles by the arc tangent, which is right for small ones too.
fn plainly(objects: &Sphere, contaminants: &Sphere, degrees: f64) -> Vec<usize> {
    let angle = |a: [f64; 3], b: [f64; 3]| {
        let cross = [
            a[1] * b[2] - a[2] * b[1],
            a[2] * b[0] - a[0] * b[2],
            a[0] * b[1] - a[1] * b[0],
        ];
        let sine = cross.iter().map(|value| value * value).sum::<f64>().sqrt();
        let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        sine.atan2(cosine).to_degrees()
    };
    let near = |object| {
        (0..contaminants.len())
            .any(|other| angle(objects.point(object), contaminants.point(other)) <= degrees)
    };
    (0..objects.len()).filter(|object| !near(*object)).collect()
}

#[test]
fn both_methods_give_the_plain_answer_at_every_angle() {
    let (objects, contaminants) = (Sphere::random(2000, 3), Sphere::random(300, 4));
    for degrees in [0.0, 1e-4, 0.05, 1.0, 5.0, 30.0, 179.0, 180.0] {
        let plain = plainly(&objects, &contaminants, degrees);
        for method in [Method::Pairs, Method::Tree, Method::Auto] {
            let found = clean(&objects, &contaminants, degrees, method).unwrap();
            assert_eq!(found, plain, "{method} at {degrees} degrees");
        }
    }
}

#[test]
fn an_object_that_is_a_contaminant_goes_at_angle_zero() {
    let objects = Sphere::random(50, 5);
    for method in [Method::Pairs, Method::Tree] {
        assert!(
            clean(&objects, &objects, 0.0, method).unwrap().is_empty(),
            "{method}"
        );
    }
}

#[test]
fn lengths_that_f32_rounds_change_nothing_even_at_the_smallest_angles() {
    // Any directions, so that the products in f32 round both ways.
    let directions = Sphere::random(300, 9);
    let rows = |length: f64, degrees: f64| {
        // Turned by so much about an axis across.
        let mut rows = directions.rows();
        for mut row in rows.rows_mut() {
            let point = [row[0], row[1], row[2]];
            let across = [-point[1], point[0], 0.0].map(|it| it / point[0].hypot(point[1]));
            let (sine, cosine) = degrees.to_radians().sin_cos();
            let turned: [f64; 3] =
                std::array::from_fn(|at| (point[at] * cosine + across[at] * sine) * length);
            row.assign(&aview1(&turned));
        }
        rows
    };
    let (short, long) = (1.0 - 9e-7, 1.0 + 9e-7);
    for method in [Method::Pairs, Method::Tree] {
        let stay = |length, other, apart, degrees| {
            let both = [rows(length, 0.0), rows(other, apart)];
            (0..directions.len())
                .filter(|at| {
                    let one = |rows: &Array2<f64>| {
                        Sphere::new(&rows.slice(s![*at..=*at, ..]).to_owned()).unwrap()
                    };
                    let [object, contaminant] = both.each_ref().map(one);
                    !clean(&object, &contaminant, degrees, method)
                        .unwrap()
                        .is_empty()
                })
                .count()
        };
        assert_eq!(stay(short, short, 0.0, 0.0), 0, "{method}");
        for (length, other) in [(short, short), (long, long), (short, long), (long, short)] {
            for degrees in [1e-5, 1e-3, 0.05, 5.0] {
                let near = degrees * (1.0 - 1e-7);
                assert_eq!(stay(length, other, near, degrees), 0, "{method} {degrees}");
                let far = degrees * (1.0 + 1e-7);
                assert_eq!(stay(length, other, far, degrees), 300, "{method} {degrees}");
            }
        }
    }
}

#[test]
fn sizes_around_every_block_tile_and_chunk_agree() {
    for contaminants in [0, 1, 127, 128, 129, 1023, 1024, 1025, 2049] {
        for objects in [0, 1, 2047, 2048, 2049] {
            let (objects, contaminants) =
                (Sphere::random(objects, 6), Sphere::random(contaminants, 7));
            let [pairs, tree] = [Method::Pairs, Method::Tree]
                .map(|method| clean(&objects, &contaminants, 1.0, method).unwrap());
            assert_eq!(pairs, tree, "{} x {}", objects.len(), contaminants.len());
        }
    }
}

#[test]
fn what_is_no_catalogue_is_named() {
    let wide = Sphere::new(&Array2::zeros((4, 2))).unwrap_err();
    assert!(
        matches!(
            wide,
            BadCatalogue::Shape {
                rows: 4,
                columns: 2
            }
        ),
        "{wide}"
    );
    let nan = Sphere::new(&array![[1.0, 0.0, 0.0], [f64::NAN, 0.0, 1.0]]).unwrap_err();
    assert!(
        matches!(nan, BadCatalogue::NotFinite { row: 1, .. }),
        "{nan}"
    );
    let long = Sphere::new(&array![[1.0, 1.0, 0.0]]).unwrap_err();
    assert!(
        matches!(long, BadCatalogue::NotUnit { row: 0, .. }),
        "{long}"
    );
    let point = Sphere::random(1, 1);
    for angle in [-1.0, 181.0, f64::NAN] {
        let error = clean(&point, &point, angle, Method::Auto).unwrap_err();
        assert!(error.contains("wanted 0 to 180"), "{error}");
    }
}

#[test]
fn a_catalogue_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.npy");
    let sphere = Sphere::random(10, 8);
    ndarray_npy::write_npy(&file, &sphere.rows()).unwrap();
    assert_eq!(Sphere::read(&file).unwrap(), sphere);

    ndarray_npy::write_npy(&file, &Array2::<f32>::zeros((2, 3))).unwrap();
    let error = Sphere::read(&file).unwrap_err().to_string();
    assert!(
        error.contains("objects.npy") && error.contains("float64"),
        "{error}"
    );
    let missing = Sphere::read(&folder.path().join("none.npy"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("none.npy"), "{missing}");
}
