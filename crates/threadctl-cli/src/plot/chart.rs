//! The picture as SVG: runnable threads by group with the line of cores, and under it the threads that waited for a core.
//!
//! Invariants: whatever is not ours (commands, names) is cleaned and escaped; texts have room in any font of usual width; colours
//! stand as attributes, which every program understands, and a style sheet changes those of a dark surrounding.

use maud::{Markup, PreEscaped, html};

use super::bins::{Bin, Bins, Series};
use super::data::Picture;
use super::{clean, scale};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;

/// Where the panels are.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 716.0;
const UPPER: Panel = Panel {
    top: 92.0,
    bottom: 352.0,
};
const LOWER: Panel = Panel {
    top: 398.0,
    bottom: 488.0,
};
const LEGEND: f64 = 736.0;
const LEGEND_ROW: f64 = 33.0;

/// Room above the highest value.
const HEAD: f64 = 1.12;

const INK: &str = "#1b1e23";
const SOFT: &str = "#565c66";
const GRID: &str = "#d9dce1";
const PAPER: &str = "#ffffff";
const WAIT: &str = "#b3261e";

/// Of the series from the bottom up; told apart also by those who see few colours, on white and on black.
const COLOURS: &[&str] = &[
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#7b5ea7",
    "#8c564b", "#8a8f98",
];

/// What a dark surrounding changes. The classes are of this picture alone.
const DARK: &str = "@media (prefers-color-scheme: dark) {\
 .tc-paper { fill: #14161a; } .tc-ink { fill: #eceef1; } .tc-soft { fill: #a9afb9; } .tc-grid { stroke: #343942; }\
 .tc-cores { stroke: #ffffff; } .tc-peak { stroke: #c3c8d0; } .tc-halo { stroke: #14161a; }\
 .tc-wait { fill: #ff7a70; } }";

/// The font that the PNG has is named too.
const FONTS: &str = "system-ui, 'DejaVu Sans', sans-serif";

#[derive(Clone, Copy, Debug)]
struct Panel {
    top: f64,
    bottom: f64,
}

/// From what is counted to where it is.
#[derive(Clone, Copy, Debug)]
struct Scale {
    panel: Panel,
    length: f64,
    most: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (at / self.length).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let Panel { top, bottom } = self.panel;
        bottom - (bottom - top) * (value / self.most).clamp(0.0, 1.0)
    }
}

/// The picture. `adapts` has it follow the colours of what surrounds it.
pub(super) fn svg(picture: &Picture, adapts: bool) -> String {
    chart(picture, &Bins::of(picture), adapts).into_string()
}

/// The same as a part of a page.
pub(super) fn chart(picture: &Picture, bins: &Bins, adapts: bool) -> Markup {
    let length = picture.length();
    let heights = bins.heights();
    let peaks = bins.bins.iter().map(|bin| f64::from(bin.peak));
    let shows_peak = peaks
        .clone()
        .zip(&heights)
        .any(|(peak, height)| peak > height + 0.5);
    let most = if shows_peak {
        peaks.fold(0.0, f64::max)
    } else {
        0.0
    };
    let most = heights.iter().copied().fold(most, f64::max);
    let upper = Scale {
        panel: UPPER,
        length,
        most: most.max(f64::from(picture.cores.count)).max(1.0) * HEAD,
    };
    let waited = bins.bins.iter().map(|bin| bin.waiting).fold(0.0, f64::max);
    let lower = Scale {
        panel: LOWER,
        length,
        most: waited.max(1.0) * HEAD,
    };
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT)
            role="img" aria-labelledby="tc-title tc-desc" font-family=(FONTS) font-size="12" {
            title id="tc-title" { "Threads of " (clean(&picture.subject())) " over time" }
            desc id="tc-desc" { (description(picture, most)) }
            @if adapts { style { (PreEscaped(DARK)) } }
            rect class="tc-paper" width=(WIDTH) height=(HEIGHT) fill=(PAPER) {}
            text class="tc-ink" x=(LEFT) y="28" font-size="17" fill=(INK) { (fitted(&picture.subject(), 92)) }
            text class="tc-soft" x=(LEFT) y="49" font-size="13" fill=(SOFT) { (fitted(&summary(picture), 120)) }
            text class="tc-ink" x=(LEFT) y=(UPPER.top - 12.0) font-size="13" fill=(INK) { "Runnable threads, by whose they are" }
            text class="tc-ink" x=(LEFT) y=(LOWER.top - 12.0) font-size="13" fill=(INK) { "Threads that waited for a core" }
            (grid(&upper))
            (areas(bins, &upper))
            @if shows_peak { (steps("tc-peak", SOFT, "1", "", &bins.bins, &upper, |bin| f64::from(bin.peak))) }
            (cores(picture, &upper))
            (grid(&lower))
            (wait(&bins.bins, &lower))
            (time_axis(&lower))
            (legend(picture, bins, shows_peak))
            @if bins.bins.is_empty() {
                text class="tc-soft" x=((LEFT + RIGHT) / 2.0) y=((UPPER.top + UPPER.bottom) / 2.0) text-anchor="middle"
                    fill=(SOFT) { "no look was taken while it ran" }
            }
        }
    }
}

fn summary(picture: &Picture) -> String {
    let least = if picture.wait.exact { "" } else { "at least " };
    let mut parts = vec![
        format!("{} in all", scale::time(picture.wall_seconds)),
        format!(
            "{:.2} of {} cores used",
            picture.cores_used, picture.cores.count
        ),
        format!(
            "{least}{:.1} % of thread time waiting for a core",
            picture.wait.share * 100.0
        ),
    ];
    parts.extend(picture.end());
    parts.join(" · ")
}

/// What a person who does not see it is told first; the figures are in the report.
fn description(picture: &Picture, most: f64) -> String {
    let groups: Vec<String> = picture.who.iter().map(|group| clean(&group.name)).collect();
    format!(
        "Up to {most:.0} runnable threads at a time on {} cores, of {}. {}.",
        picture.cores.count,
        if groups.is_empty() {
            "nobody".to_owned()
        } else {
            groups.join(", ")
        },
        summary(picture)
    )
}

/// Lines and numbers of the threads.
fn grid(scale: &Scale) -> Markup {
    let parts = (scale.panel.bottom - scale.panel.top) / 40.0;
    // There are no halves of threads on the axis.
    let step = scale::step(scale.most, parts).max(1.0);
    html! {
        @for tick in scale::ticks(scale.most, step) {
            @let y = at(scale.y(tick));
            line class="tc-grid" x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) stroke=(GRID) {}
            text class="tc-soft" x=(LEFT - 8.0) y=(at(scale.y(tick) + 4.0)) text-anchor="end" fill=(SOFT) {
                (scale::label(tick, step))
            }
        }
    }
}

fn time_axis(scale: &Scale) -> Markup {
    let unit = scale::unit(scale.length);
    let most = scale.length / unit.seconds;
    let step = scale::step(most, 8.0);
    html! {
        @for tick in scale::ticks(most, step) {
            @let x = at(scale.x(tick * unit.seconds));
            line class="tc-grid" x1=(x) x2=(x) y1=(LOWER.bottom) y2=(LOWER.bottom + 5.0) stroke=(GRID) {}
            text class="tc-soft" x=(x) y=(LOWER.bottom + 19.0) text-anchor="middle" fill=(SOFT) { (scale::label(tick, step)) }
        }
        text class="tc-soft" x=((LEFT + RIGHT) / 2.0) y=(LOWER.bottom + 39.0) text-anchor="middle" fill=(SOFT) {
            "time since the start, " (unit.name)
        }
    }
}

fn areas(bins: &Bins, scale: &Scale) -> Markup {
    let mut below = vec![0.0; bins.bins.len()];
    let mut paths = Vec::new();
    for (at, series) in bins.series.iter().enumerate() {
        let above: Vec<f64> = below
            .iter()
            .zip(&series.values)
            .map(|(below, value)| below + value)
            .collect();
        if series.values.iter().any(|value| *value > 0.0) {
            paths.push((series, colour(at), band(&bins.bins, &below, &above, scale)));
        }
        below = above;
    }
    html! {
        @for (series, colour, path) in &paths {
            path class="tc-area" data-group=(clean(&series.name)) d=(path) fill=(colour) {
                title { (told(series)) }
            }
        }
    }
}

fn colour(at: usize) -> &'static str {
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or(SOFT)
}

/// The outline of what is between two lines of steps.
fn band(bins: &[Bin], below: &[f64], above: &[f64], scale: &Scale) -> String {
    let mut path = String::new();
    for (bin, value) in bins.iter().zip(above) {
        let begins = if path.is_empty() { 'M' } else { 'L' };
        let (from, to, y) = (
            at(scale.x(bin.from)),
            at(scale.x(bin.to)),
            at(scale.y(*value)),
        );
        path.push_str(&format!("{begins}{from} {y}H{to}"));
    }
    for (bin, value) in bins.iter().zip(below).rev() {
        let (from, to, y) = (
            at(scale.x(bin.from)),
            at(scale.x(bin.to)),
            at(scale.y(*value)),
        );
        path.push_str(&format!("L{to} {y}H{from}"));
    }
    path.push('Z');
    path
}

/// A line of steps.
fn steps(
    class: &str,
    colour: &str,
    width: &str,
    dashes: &str,
    bins: &[Bin],
    scale: &Scale,
    value: impl Fn(&Bin) -> f64,
) -> Markup {
    let mut path = String::new();
    for bin in bins {
        let begins = if path.is_empty() { 'M' } else { 'L' };
        let (from, to, y) = (
            at(scale.x(bin.from)),
            at(scale.x(bin.to)),
            at(scale.y(value(bin))),
        );
        path.push_str(&format!("{begins}{from} {y}H{to}"));
    }
    html! {
        path class=(class) d=(path) fill="none" stroke=(colour) stroke-width=(width) stroke-dasharray=[(!dashes.is_empty()).then_some(dashes)] {}
    }
}

fn cores(picture: &Picture, scale: &Scale) -> Markup {
    let count = picture.cores.count;
    let y = scale.y(f64::from(count));
    html! {
        line class="tc-cores" data-cores=(count) x1=(LEFT) x2=(RIGHT) y1=(at(y)) y2=(at(y)) stroke=(INK) stroke-width="2"
            stroke-dasharray="7 4" {}
        text class="tc-ink tc-halo" x=(RIGHT - 6.0) y=(at(y - 6.0)) text-anchor="end" font-size="13" fill=(INK) stroke=(PAPER)
            stroke-width="3.5" stroke-linejoin="round" paint-order="stroke" { (cores_in_words(count)) }
    }
}

fn cores_in_words(count: u32) -> String {
    format!("{count} core{}", if count == 1 { "" } else { "s" })
}

fn wait(bins: &[Bin], scale: &Scale) -> Markup {
    let nothing = vec![0.0; bins.len()];
    let waiting: Vec<f64> = bins.iter().map(|bin| bin.waiting).collect();
    html! {
        @if !bins.is_empty() {
            path class="tc-wait" d=(band(bins, &nothing, &waiting, scale)) fill=(WAIT) {
                title { "threads that waited for a core, on average" }
            }
        }
    }
}

fn legend(picture: &Picture, bins: &Bins, shows_peak: bool) -> Markup {
    // The highest of the stack first, as the eye meets them.
    let rows: Vec<(usize, &Series)> = bins.series.iter().enumerate().rev().collect();
    let lines = UPPER.top + 8.0 + rows.len() as f64 * LEGEND_ROW;
    html! {
        @for (row, (index, series)) in rows.iter().enumerate() {
            @let y = UPPER.top + row as f64 * LEGEND_ROW;
            rect class="tc-swatch" x=(LEGEND) y=(at(y)) width="12" height="12" rx="2" fill=(colour(*index)) {}
            text class="tc-ink" x=(LEGEND + 18.0) y=(at(y + 10.5)) fill=(INK) { (fitted(&series.name, 26)) }
            text class="tc-soft" x=(LEGEND + 18.0) y=(at(y + 24.0)) font-size="10.5" fill=(SOFT) { (fitted(&used(series), 34)) }
        }
        line class="tc-cores" x1=(LEGEND) x2=(LEGEND + 13.0) y1=(at(lines)) y2=(at(lines)) stroke=(INK) stroke-width="2" stroke-dasharray="5 3" {}
        text class="tc-ink" x=(LEGEND + 18.0) y=(at(lines + 4.0)) fill=(INK) { (cores_in_words(picture.cores.count)) " to use" }
        @if shows_peak {
            line class="tc-peak" x1=(LEGEND) x2=(LEGEND + 13.0) y1=(at(lines + 18.0)) y2=(at(lines + 18.0)) stroke=(SOFT) {}
            text class="tc-ink" x=(LEGEND + 18.0) y=(at(lines + 22.0)) fill=(INK) { "the most at one moment" }
        }
    }
}

/// The second line of a legend.
fn used(series: &Series) -> String {
    let guess = if series.is_guess { ", a guess" } else { "" };
    let plural = if series.threads == 1 { "" } else { "s" };
    format!(
        "{} thread{plural}, {} CPU{guess}",
        series.threads,
        scale::time(series.cpu_seconds)
    )
}

/// What is told of an area that is pointed at.
fn told(series: &Series) -> String {
    format!(
        "{}: {}, {} waiting for a core",
        clean(&series.name),
        used(series),
        scale::time(series.wait_seconds)
    )
}

/// A place, in tenths.
fn at(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Text of at most so many letters.
fn fitted(text: &str, most: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= most {
        return text;
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}
