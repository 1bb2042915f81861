//! One HTML page with the picture, the verdicts and the figures: text and tables, which can be read aloud, copied and printed.
//!
//! Invariants: no script, and a policy that forbids browsers to fetch anything; readable on light and dark, on paper, and at any width.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::bins::Bins;
use super::chart::chart;
use super::data::{Finding, Group, Picture};
use super::{clean, scale};

/// What browsers may load: nothing, but for the style in the page, and an icon of no bytes, for which they would ask otherwise.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Rows of the table of the time line.
const ROWS: f64 = 24.0;

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1b1e23; --soft: #565c66; --paper: #fff; --line: #d9dce1; --mark: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef1; --soft: #a9afb9; --paper: #14161a; --line: #343942; --mark: #ff7a70; } }
body { margin: 2rem auto; padding: 0 1rem; max-width: 62rem; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; } pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); border-radius: .3rem; padding: .5rem .7rem; margin: .3rem 0; }
.wide { overflow-x: auto; } .wide svg { width: 100%; min-width: 40rem; height: auto; display: block; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
caption { text-align: left; color: var(--soft); } td.number, th.number { text-align: right; } .finding { border-left: .25rem solid var(--mark); padding-left: .9rem; margin: 1rem 0; }
.soft { color: var(--soft); } dt { font-weight: 600; } dd { margin: 0 0 .4rem 0; } summary { cursor: pointer; } details { margin-top: 1rem; }
@media print { body { margin: 0; } }";

/// The page.
pub(super) fn html(picture: &Picture) -> String {
    let subject = clean(&picture.subject());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { "threadctl: " (subject) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Threads of " code { (subject) } }
                    @if let Some(end) = picture.end() { p.soft { "It " (end) "." } }
                    (findings(&picture.findings))
                    h2 { "What happened when" }
                    div.wide tabindex="0" role="region" aria-label="Time line" { (chart(picture, &Bins::of(picture), true)) }
                    (figures(picture))
                    (who(&picture.who))
                    (time_line(picture))
                    (notes(&picture.notes))
                }
            }
        }
    }
    .into_string()
}

fn findings(findings: &[Finding]) -> Markup {
    html! {
        h2 { "What was found" }
        @if findings.is_empty() { p { "Nothing that threads fight over." } }
        @for finding in findings {
            section.finding {
                h3 { (clean(&finding.title)) }
                p.soft { code { (clean(&finding.rule)) } ", " (clean(&finding.confidence)) }
                dl {
                    dt { "Why" } dd { (clean(&finding.evidence)) }
                    dt { "Cost" } dd { (clean(&finding.cost)) }
                    @if !finding.remedies.is_empty() {
                        dt { "Try" } dd { @for remedy in &finding.remedies { pre { (clean(remedy)) } } }
                    }
                    dt { "More" } dd { code { "threadctl explain " (clean(&finding.rule)) } }
                }
            }
        }
    }
}

fn figures(picture: &Picture) -> Markup {
    let least = if picture.wait.exact { "" } else { "at least " };
    let cores = &picture.cores;
    let rows = [
        ("Wall time", scale::time(picture.wall_seconds)),
        (
            "CPU time",
            format!(
                "{}: {:.2} of {} cores used on average",
                scale::time(picture.cpu_seconds),
                picture.cores_used,
                cores.count
            ),
        ),
        (
            "Cores",
            format!(
                "{}, by the {} ({})",
                cores.count,
                clean(&cores.kind),
                clean(&cores.because)
            ),
        ),
        (
            "Runnable threads",
            format!(
                "{} at most, {:.1} on average",
                picture.runnable.peak, picture.runnable.mean
            ),
        ),
        (
            "Run-queue wait",
            format!(
                "{least}{}: {:.1} % of thread time",
                scale::time(picture.wait.seconds),
                picture.wait.share * 100.0
            ),
        ),
    ];
    html! {
        h2 { "Figures" }
        table {
            @for (name, value) in &rows { tr { th scope="row" { (name) } td { (value) } } }
        }
    }
}

fn who(groups: &[Group]) -> Markup {
    html! {
        h2 { "Whose threads" }
        div.wide tabindex="0" role="region" aria-label="Whose threads" {
            table {
                caption { "Overlap is CPU time while threads of other groups waited for a core." }
                thead {
                    tr {
                        th scope="col" { "Made by" }
                        @for name in ["Threads", "Most at once", "CPU time", "Waited", "Overlap"] {
                            th.number scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for group in groups {
                        tr {
                            th scope="row" { (clean(&group.name)) @if group.guessed > 0 { " (" (group.guessed) " guessed)" } }
                            td.number { (group.threads) }
                            td.number { (group.peak) }
                            @for seconds in [group.cpu_seconds, group.wait_seconds, group.overlap_seconds] {
                                td.number { (scale::time(seconds)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The picture as a table, for those who do not see it.
fn time_line(picture: &Picture) -> Markup {
    let bins = Bins::with(picture, ROWS);
    html! {
        details {
            summary { "The time line as a table" }
            div.wide tabindex="0" role="region" aria-label="The time line as a table" {
                table {
                    caption { "Runnable threads and threads that waited for a core, on average" }
                    thead {
                        tr {
                            th scope="col" { "From" }
                            th scope="col" { "To" }
                            @for series in &bins.series { th.number scope="col" { (clean(&series.name)) } }
                            th.number scope="col" { "Waited" }
                        }
                    }
                    tbody {
                        @for (at, bin) in bins.bins.iter().enumerate() {
                            tr {
                                td { (scale::time(bin.from)) }
                                td { (scale::time(bin.to)) }
                                @for series in &bins.series {
                                    td.number { (format!("{:.1}", series.values.get(at).copied().unwrap_or(0.0))) }
                                }
                                td.number { (format!("{:.1}", bin.waiting)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn notes(notes: &[String]) -> Markup {
    html! {
        @if !notes.is_empty() {
            h2 { "Notes" }
            ul { @for note in notes { li { (clean(note)) } } }
        }
        p.soft { "Drawn by threadctl " (env!("CARGO_PKG_VERSION")) "." }
    }
}
