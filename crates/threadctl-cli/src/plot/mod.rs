//! Pictures of a report: an SVG file, a PNG file, or one HTML page that needs nothing else.
//!
//! Invariants: drawn from the report's document alone (`data`), so that `threadctl plot` draws later what `threadctl run --plot` draws
//! at once; one drawing (`chart`, over `bins` and `scale`), which the PNG and the page contain; no script, and nothing from
//! elsewhere.

mod bins;
mod chart;
mod data;
mod page;
mod png;
mod scale;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
pub(crate) use data::Picture;

use crate::out::shown;

/// What a picture is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Svg,
    Png,
    Html,
}

/// Endings of file names, and what they stand for.
const ENDINGS: &[(&str, Kind)] = &[
    ("svg", Kind::Svg),
    ("png", Kind::Png),
    ("html", Kind::Html),
    ("htm", Kind::Html),
];

/// Where a picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    path: PathBuf,
    kind: Kind,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        let ending = path
            .extension()
            .and_then(OsStr::to_str)
            .unwrap_or("")
            .to_ascii_lowercase();
        match ENDINGS.iter().find(|(known, _)| *known == ending) {
            Some((_, kind)) => Ok(Target {
                path: path.to_owned(),
                kind: *kind,
            }),
            None => Err(
                "the ending decides what is drawn: give FILE.svg, FILE.png or FILE.html".to_owned(),
            ),
        }
    }
}

impl Target {
    /// Draws the picture there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn draw(&self, picture: &Picture) -> Result<()> {
        let bytes = match self.kind {
            Kind::Svg => chart::svg(picture, true).into_bytes(),
            Kind::Html => page::html(picture).into_bytes(),
            Kind::Png => png::png(&chart::svg(picture, false))?,
        };
        std::fs::write(&self.path, bytes)
            .with_context(|| format!("the picture cannot be written to {}", self.path.display()))
    }
}

/// Text of others, without what is not printed and what no XML may contain.
fn clean(text: &str) -> String {
    shown(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_and_others_are_refused() {
        let kind = |text: &str| text.parse().map(|target: Target| target.kind);
        assert_eq!(kind("a/b.svg"), Ok(Kind::Svg));
        assert_eq!(kind("B.PNG"), Ok(Kind::Png));
        assert_eq!(kind("b.x.html"), Ok(Kind::Html));
        for wrong in ["a.pdf", "svg", ".svg", "a.svg.gz", ""] {
            assert!(
                kind(wrong)
                    .unwrap_err()
                    .contains("FILE.svg, FILE.png or FILE.html"),
                "{wrong}"
            );
        }
    }
}
