//! Axes: round steps, units and labels. Pure.

/// A round step that cuts `most` into about so many parts.
pub(super) fn step(most: f64, parts: f64) -> f64 {
    let raw = (most / parts).max(1e-9);
    let power = 10f64.powf(raw.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0];
    let fits = round.iter().find(|round| **round * power >= raw * 0.999);
    fits.unwrap_or(&10.0) * power
}

/// Multiples of `step` from nothing to `most`.
pub(super) fn ticks(most: f64, step: f64) -> Vec<f64> {
    let count = (most / step * (1.0 + 1e-9)).floor().clamp(0.0, 1000.0) as u32;
    (0..=count).map(|at| f64::from(at) * step).collect()
}

/// A multiple of `step` with the digits that it needs.
pub(super) fn label(value: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.digits$}")
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    /// Up to this many seconds it is used.
    below: f64,
    pub(super) name: &'static str,
    pub(super) seconds: f64,
}

const UNITS: &[Unit] = &[
    Unit {
        below: 0.01,
        name: "µs",
        seconds: 1e-6,
    },
    Unit {
        below: 1.0,
        name: "ms",
        seconds: 1e-3,
    },
    Unit {
        below: 180.0,
        name: "s",
        seconds: 1.0,
    },
    Unit {
        below: 10_800.0,
        name: "min",
        seconds: 60.0,
    },
    Unit {
        below: f64::INFINITY,
        name: "h",
        seconds: 3600.0,
    },
];

/// The unit in which a time line of this length is read best.
pub(super) fn unit(length: f64) -> Unit {
    let fits = UNITS.iter().find(|unit| length < unit.below);
    *fits.unwrap_or(&Unit {
        below: f64::INFINITY,
        name: "s",
        seconds: 1.0,
    })
}

/// A length of time in words: `3.42 s`.
pub(super) fn time(seconds: f64) -> String {
    let unit = unit(seconds);
    let number = seconds / unit.seconds;
    match number {
        100.0.. => format!("{number:.0} {}", unit.name),
        10.0.. => format!("{number:.1} {}", unit.name),
        _ => format!("{number:.2} {}", unit.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_ticks_neither_few_nor_many() {
        for most in [1e-5, 0.002, 0.2, 1.0, 3.7, 16.0, 99.9, 4096.0, 1e6] {
            let step = step(most, 8.0);
            let ticks = ticks(most, step);
            assert!((4..=10).contains(&ticks.len()), "{most}: {ticks:?}");
            let mut labels: Vec<String> = ticks.iter().map(|tick| label(*tick, step)).collect();
            labels.dedup();
            assert_eq!(labels.len(), ticks.len(), "{labels:?}");
        }
    }

    #[test]
    fn times_are_told_in_their_unit() {
        for (seconds, text) in [
            (0.0, "0.00 µs"),
            (0.2, "200 ms"),
            (3.417, "3.42 s"),
            (75.0, "75.0 s"),
            (3600.0, "60.0 min"),
            (36_000.0, "10.0 h"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }
}
