//! The same bits on 1, 2 and 4 ranks, the same numbers as a plain program, and cores that add up to the machine's.

use ndarray::Array2;
use serde_json::Value;

use super::launch::{KMEANS, SELECTION, document, number, rank_cores};
use threadctl_examples::mpi::rows::random;
use threadctl_examples::mpi::selection;

/// On 1, 2 and 4 ranks; checked for what does not depend on the program.
fn on_1_2_and_4(program: &str, args: &[&str]) -> Vec<Value> {
    let machine = u64::from(threadctl::cores().count());
    let documents = [1, 2, 4].map(|ranks| document(ranks, program, args));
    for (document, ranks) in documents.iter().zip([1, 2, 4]) {
        assert_eq!(
            document["digest"], documents[0]["digest"],
            "{ranks} ranks: {document}"
        );
        assert_eq!(document["result"], documents[0]["result"], "{ranks} ranks");
        assert_eq!(
            (number(document, "ranks"), number(document, "hosts")),
            (ranks, 1)
        );
        assert_eq!(number(document, "machine_cores"), machine);
        let cores = rank_cores(document);
        assert_eq!(cores.len() as u64, ranks);
        if ranks <= machine {
            assert_eq!(cores.iter().sum::<u64>(), machine, "{document}");
        } else {
            assert!(cores.iter().all(|cores| *cores == 1), "{document}");
        }
        assert_eq!(document["oversubscribed"], ranks > machine, "{document}");
        assert_eq!(document["sharing"], "made", "{document}");
        for part in ["read", "compute", "reduce", "total"] {
            assert!(
                document["seconds"][part].as_f64().unwrap() > 0.0,
                "{part}: {document}"
            );
        }
        assert!(number(document, "reduced_bytes") > 0);
        assert_eq!(
            number(document, "reduced_messages"),
            ranks,
            "each rank has a part"
        );
    }
    documents.into()
}

#[test]
fn kmeans_gives_the_same_bits_on_any_number_of_ranks() {
    // The last block is short.
    let args = [
        "--points",
        "20011",
        "--dimensions",
        "9",
        "--block",
        "512",
        "--rounds",
        "7",
    ];
    let documents = on_1_2_and_4(KMEANS, &args);
    assert!((1..=7).contains(&number(&documents[0], "iterations")));
}

#[test]
fn selection_gives_the_same_bits_on_any_number_of_ranks() {
    // Matrices that calls of LAPACK cut for two workers.
    let args = ["--rows", "420", "--candidates", "6", "--rounds", "2"];
    let documents = on_1_2_and_4(SELECTION, &args);
    assert_eq!(number(&documents[0], "iterations"), 2);
}

#[test]
fn more_ranks_than_blocks_have_nothing_to_do_and_change_nothing() {
    let args = [
        "--points",
        "900",
        "--dimensions",
        "8",
        "--block",
        "512",
        "--rounds",
        "3",
    ];
    let few = document(1, KMEANS, &args);
    let many = document(5, KMEANS, &args);
    assert_eq!(few["digest"], many["digest"]);
    assert_eq!(number(&many, "reduced_messages"), 2);
}

#[test]
fn kmeans_of_a_file_is_that_of_a_plain_program() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (
        folder.path().join("points.npy"),
        folder.path().join("centroids.npy"),
    );
    let (clusters, rounds) = (8, 5);
    let points = Array2::from_shape_fn((3001, 10), |(i, j)| {
        7.0 * random(3, i as u64 % 9, j as u64) + random(4, i as u64, j as u64)
    });
    ndarray_npy::write_npy(&file, &points).unwrap();
    let found = document(
        2,
        KMEANS,
        &[
            "--file",
            file.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--clusters",
            "8",
            "--rounds",
            "5",
            "--block",
            "256",
        ],
    );
    let centroids: Array2<f64> = ndarray_npy::read_npy(&out).unwrap();

    // Lloyd's algorithm as it is written down.
    let mut plain: Vec<Vec<f64>> = (0..clusters)
        .map(|cluster| points.row(cluster * points.nrows() / clusters).to_vec())
        .collect();
    let mut inertia = 0.0;
    for _ in 0..rounds {
        let mut sums = vec![vec![0.0; 10]; clusters];
        let mut counts = vec![0.0; clusters];
        inertia = 0.0;
        for point in points.rows() {
            let distance = |centre: &Vec<f64>| -> f64 {
                point
                    .iter()
                    .zip(centre)
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum()
            };
            let distances: Vec<f64> = plain.iter().map(distance).collect();
            let nearest = (0..clusters)
                .min_by(|a, b| distances[*a].total_cmp(&distances[*b]))
                .unwrap();
            inertia += distances[nearest];
            counts[nearest] += 1.0;
            sums[nearest]
                .iter_mut()
                .zip(point)
                .for_each(|(sum, value)| *sum += value);
        }
        for ((centre, sum), count) in plain.iter_mut().zip(sums).zip(counts) {
            if count > 0.0 {
                *centre = sum.iter().map(|sum| sum / count).collect();
            }
        }
    }
    for (row, plain) in centroids.rows().into_iter().zip(&plain) {
        for (value, plain) in row.iter().zip(plain) {
            assert!((value - plain).abs() < 1e-9, "{value} is not {plain}");
        }
    }
    let told = found["result"]["inertia"].as_f64().unwrap();
    assert!(
        (told - inertia).abs() < 1e-9 * inertia,
        "{told} is not {inertia}"
    );
}

#[test]
fn selection_is_that_of_a_plain_program() {
    let (rows, features, candidates) = (120, 3, 10);
    let found = document(
        2,
        SELECTION,
        &[
            "--rows",
            "120",
            "--features",
            "3",
            "--candidates",
            "10",
            "--rounds",
            "1",
            "--seed",
            "5",
        ],
    );
    let mut table = Array2::zeros((rows, features + 1));
    for (index, mut row) in table.rows_mut().into_iter().enumerate() {
        selection::make(5, index as u64, row.as_slice_mut().unwrap());
    }
    for mut column in table.columns_mut() {
        let mean = column.mean().unwrap();
        let deviation = column.std(0.0);
        column.mapv_inplace(|value| (value - mean) / deviation);
    }
    let scores: Vec<f64> = selection::grid(candidates, &selection::FIRST)
        .into_iter()
        .map(|hyper| plain_score(&table, hyper))
        .collect();
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let told = found["result"]["score"].as_f64().unwrap();
    assert!(
        (told - best).abs() < 1e-7 * best.abs(),
        "{told} is not {best}"
    );
    let index = scores.iter().position(|score| *score == best).unwrap();
    let hyper = selection::grid(candidates, &selection::FIRST)[index];
    assert_eq!(found["result"]["best"]["length_scale"], hyper.length_scale);
    assert_eq!(
        found["result"]["best"]["noise_variance"],
        hyper.noise_variance
    );
}

/// The log marginal likelihood by a Cholesky factor as it is written down.
fn plain_score(table: &Array2<f64>, hyper: selection::Hyper) -> f64 {
    let n = table.nrows();
    let d = table.ncols() - 1;
    let mut k = vec![vec![0.0_f64; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let square: f64 = (0..d)
                .map(|f| (table[[i, f]] - table[[j, f]]).powi(2))
                .sum();
            let scale = 2.0 * hyper.length_scale * hyper.length_scale;
            k[i][j] = hyper.signal_variance * (-square / scale).exp();
        }
        k[i][i] += hyper.noise_variance;
    }
    // Solves L z = y on the way: y K^-1 y is z z.
    let (mut z, mut half_log_det) = (vec![0.0; n], 0.0);
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|m| k[i][m] * k[j][m]).sum();
            if i == j {
                k[i][i] = (k[i][i] - sum).sqrt();
            } else {
                k[i][j] = (k[i][j] - sum) / k[j][j];
            }
        }
        let sum: f64 = (0..i).map(|m| k[i][m] * z[m]).sum();
        z[i] = (table[[i, d]] - sum) / k[i][i];
        half_log_det += k[i][i].ln();
    }
    let fit: f64 = z.iter().map(|z| z * z).sum();
    -0.5 * fit - half_log_det - 0.5 * n as f64 * std::f64::consts::TAU.ln()
}
