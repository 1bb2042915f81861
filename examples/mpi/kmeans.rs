//! k-means (Lloyd 1982) over ranks: each has its blocks of the points, sums those of each cluster, and all get the new centroids.
//!
//! Invariants: centroids, labels and the number of rounds are the same bits on any number of ranks (see the module's page). Of centroids
//! at the same distance the first is taken; one without points stays where it is.

use std::path::PathBuf;

use clap::Parser;
use ndarray::{Array1, Array2, ArrayView2};
use serde::Serialize;

use super::Digest;
use super::parts::parts;
use super::ranks::{GivenUp, Ranks};
use super::report::{Clock, Document};
use super::rows::{Rows, random};
use super::tree::{self, Traffic};

/// Groups points by k-means, over the ranks that MPI has started.
///
/// Exit codes: 0 done, 2 the options or the points cannot be read.
#[derive(Clone, Debug, Parser)]
#[command(name = "kmeans")]
pub struct Args {
    /// A .npy file of float64, (points, dimensions), in C order, that every rank can read [default: made from the seed]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["points", "dimensions", "seed"])]
    pub file: Option<PathBuf>,
    /// How many points are made
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub points: usize,
    /// Their dimensions
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive)]
    pub dimensions: usize,
    /// What they are made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many clusters
    #[arg(long, value_name = "K", default_value_t = 16, value_parser = positive)]
    pub clusters: usize,
    /// The most rounds
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = positive)]
    pub rounds: usize,
    /// Points in a block; results depend on it in their last digits
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = positive)]
    pub block: usize,
    /// Workers of each rank's pool [default: the cores of the rank that can use the fewest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub width: Option<u32>,
    /// Write the centroids to a .npy file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A number from 1 on.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    if number == 0 {
        return Err("it is at least 1".to_owned());
    }
    Ok(number)
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Found {
    points: usize,
    dimensions: usize,
    clusters: usize,
    /// The squared distances of all points from their centroids.
    inertia: f64,
    /// Nothing changed in the last round.
    settled: bool,
}

/// A made point: one of 12 places, and noise around it.
pub fn make(seed: u64, row: u64, point: &mut [f64]) {
    const PLACES: f64 = 12.0;
    let place = (random(seed, row, u64::MAX) * PLACES).floor();
    for (dimension, number) in point.iter_mut().enumerate() {
        let dimension = dimension as u64;
        let centre = random(seed ^ 0x5eed, place as u64, dimension);
        *number = 10.0 * centre + random(seed, row, dimension) - 0.5;
    }
}

/// The program.
///
/// # Errors
/// The points cannot be read, or are fewer than the clusters; on all ranks.
pub fn run(ranks: &Ranks, args: &Args) -> Result<String, GivenUp> {
    let mut clock = Clock::begin();
    let rows = ranks.agree(points(args))?;
    ranks.same("the shape of the points", &rows.shape())?;
    ranks.agree(tree::countable(rows.rows()))?;
    let blocks = rows.rows().div_ceil(args.block);
    let parts = parts(blocks, &ranks.cores);
    let own: Vec<usize> = parts[ranks.rank()].clone().collect();
    let read = ranks.crew.each(&own, |block| {
        let begin = block * args.block;
        rows.read(begin..rows.rows().min(begin + args.block))
    });
    let points = ranks.agree(read.into_iter().collect::<Result<Vec<_>, _>>())?;
    let mut centroids = ranks.agree(begin(&rows, args.clusters))?;
    clock.has_read();

    let numbers = Sums::numbers(&centroids);
    let (mut inertia, mut settled, mut labels, mut traffic) =
        (0.0, false, Vec::new(), Traffic::default());
    for _ in 0..args.rounds {
        let compute = || {
            let lengths = centroids
                .rows()
                .into_iter()
                .map(|row| square(row.iter()))
                .collect();
            ranks.crew.each(&points, |points| {
                assign(points.view(), &centroids, &lengths)
            })
        };
        let (sums, own) = clock.iteration(ranks, compute, |done: Vec<(Vec<f64>, u64)>| {
            let (leaves, labels): (Vec<_>, Vec<_>) = done.into_iter().unzip();
            (tree::sum(ranks.world(), &parts, &leaves, numbers), labels)
        });
        labels = own;
        traffic = sums.1;
        let sums = Sums(sums.0);
        inertia = sums.inertia();
        let before = std::mem::take(&mut centroids);
        centroids = sums.means(&before);
        // Every rank has the same ones, so all stop together.
        settled = centroids == before;
        if settled {
            break;
        }
    }

    let counts: Vec<usize> = parts.iter().map(ExactSizeIterator::len).collect();
    let labels = tree::gather(ranks.world(), &labels, &counts);
    let mut digest = Digest::default();
    digest.add_all(&centroids);
    digest.add(inertia.to_bits());
    labels.into_iter().for_each(|block| digest.add(block));
    ranks.agree(write(ranks, args, &centroids))?;
    let found = Found {
        points: rows.rows(),
        dimensions: rows.columns(),
        clusters: args.clusters,
        inertia,
        settled,
    };
    let words = format!(
        "{} points of {} dimensions in {} clusters: squared distances {:.6e}{}",
        found.points,
        found.dimensions,
        found.clusters,
        found.inertia,
        if settled { ", settled" } else { "" }
    );
    let document = Document::new("kmeans", ranks, digest, &clock, traffic, found);
    ranks.agree(document.show(args.json, &words))
}

fn points(args: &Args) -> Result<Rows, String> {
    let rows = match &args.file {
        Some(file) => Rows::open(file)?,
        None => Rows::made(args.points, args.dimensions, args.seed, make),
    };
    if rows.rows() < args.clusters || rows.columns() == 0 {
        return Err(format!(
            "--clusters {}: there are {} points of {} dimensions",
            args.clusters,
            rows.rows(),
            rows.columns()
        ));
    }
    Ok(rows)
}

/// The first centroids: points that lie evenly among all.
fn begin(rows: &Rows, clusters: usize) -> Result<Array2<f64>, String> {
    let mut centroids = Array2::zeros((clusters, rows.columns()));
    for (index, mut centroid) in centroids.rows_mut().into_iter().enumerate() {
        let at = index * rows.rows() / clusters;
        centroid.assign(&rows.read(at..at + 1)?.row(0));
    }
    Ok(centroids)
}

/// The first rank writes.
fn write(ranks: &Ranks, args: &Args, centroids: &Array2<f64>) -> Result<(), String> {
    match &args.out {
        Some(file) if ranks.rank() == 0 => ndarray_npy::write_npy(file, centroids)
            .map_err(|error| format!("{}: {error}", file.display())),
        _ => Ok(()),
    }
}

fn square<'a>(numbers: impl Iterator<Item = &'a f64>) -> f64 {
    numbers.map(|number| number * number).sum()
}

/// What a block yields: the sums of its points by cluster, how many these are, and the squared distances; and what its labels are, as a
/// digest.
fn assign(
    points: ArrayView2<'_, f64>,
    centroids: &Array2<f64>,
    lengths: &Array1<f64>,
) -> (Vec<f64>, u64) {
    let (clusters, dimensions) = centroids.dim();
    let mut sums = vec![0.0; Sums::numbers(centroids)];
    let mut labels = Digest::default();
    // By BLAS through dispatch: |p - c|^2 is |p|^2 + |c|^2 - 2 pc.
    let products = points.dot(&centroids.t());
    for (point, products) in points.rows().into_iter().zip(products.rows()) {
        let (mut nearest, mut least) = (0, f64::INFINITY);
        for (index, (product, length)) in products.iter().zip(lengths).enumerate() {
            let distance = length - 2.0 * product;
            if distance < least {
                (nearest, least) = (index, distance);
            }
        }
        labels.add(nearest as u64);
        let sum = &mut sums[nearest * dimensions..][..dimensions];
        sum.iter_mut()
            .zip(point)
            .for_each(|(sum, number)| *sum += number);
        sums[clusters * dimensions + nearest] += 1.0;
        // Rounding may take it below zero.
        let distance = (square(point.iter()) + least).max(0.0);
        sums[clusters * (dimensions + 1)] += distance;
    }
    (sums, labels.value())
}

/// The sums of all blocks.
struct Sums(Vec<f64>);

impl Sums {
    /// How many numbers that are.
    fn numbers(centroids: &Array2<f64>) -> usize {
        centroids.len() + centroids.nrows() + 1
    }

    fn inertia(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }

    fn means(&self, before: &Array2<f64>) -> Array2<f64> {
        let mut means = before.clone();
        let (sums, counts) = self.0.split_at(before.len());
        let sums = sums.chunks_exact(before.ncols());
        for ((mut mean, sum), count) in means.rows_mut().into_iter().zip(sums).zip(counts) {
            if *count > 0.0 {
                mean.iter_mut()
                    .zip(sum)
                    .for_each(|(mean, sum)| *mean = sum / count);
            }
        }
        means
    }
}
