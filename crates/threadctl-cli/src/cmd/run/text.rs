//! The report in words, for people: 80 columns, with colours that who writes it may have to take out.

use std::fmt::Write as _;

use threadctl::diagnose::{Finding, Point, Report};

use unicode_width::UnicodeWidthStr;

use crate::out::{BAD, GOOD, TYPE, plain, shown, wrapped};

/// Columns of the time line.
const COLUMNS: usize = 60;

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The whole report below a heading.
pub(crate) fn report(heading: &str, report: &Report, findings: &[Finding]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut text, heading, report, findings);
    text
}

/// The same for a screen of so many lines and columns: the figures that change, then the time line, whose threads, and the verdict,
/// as far as there is room.
pub(crate) fn screen(
    heading: &str,
    report: &Report,
    findings: &[Finding],
    size: (usize, usize),
) -> String {
    let mut text = String::new();
    let _ = write_screen(&mut text, heading, report, findings);
    fitting(&text, size)
}

/// As many lines of a text as a screen of `lines` and `columns` has room for, and how many more there are. A line that is longer than
/// the screen is wide takes several of the screen's: a command that can be copied is not broken.
fn fitting(text: &str, (lines, columns): (usize, usize)) -> String {
    let height = |line: &str| {
        let width = UnicodeWidthStr::width(plain(line).as_str());
        width.div_ceil(columns.max(1)).max(1)
    };
    let all: Vec<&str> = text.lines().collect();
    if all.iter().map(|line| height(line)).sum::<usize>() <= lines {
        return text.to_owned();
    }
    let more =
        |count: usize| format!("  ({count} more lines: make the window higher, or use --once)");
    let mut left = lines.saturating_sub(height(&more(all.len())));
    let fits = |line: &&&str| {
        let height = height(line);
        let fits = height <= left;
        left = left.saturating_sub(height);
        fits
    };
    let shown: Vec<&str> = all.iter().take_while(fits).copied().collect();
    let end = if shown.is_empty() { "" } else { "\n" };
    format!(
        "{}{BAD:#}{end}{}",
        shown.join("\n"),
        more(all.len() - shown.len())
    )
}

fn write_screen(
    text: &mut String,
    heading: &str,
    report: &Report,
    findings: &[Finding],
) -> std::fmt::Result {
    let cores = report.cores.count;
    writeln!(text, "{heading}")?;
    writeln!(
        text,
        "  {:.2} of {cores} cores used; {} threads runnable at most, {:.1} on average",
        report.cores_used, report.runnable.peak, report.runnable.mean
    )?;
    writeln!(
        text,
        "  {:.1} % of thread time spent waiting for a core",
        report.wait.share * 100.0
    )?;
    write_timeline(text, &report.timeline, cores)?;
    write_who(text, report)?;
    write_findings(text, findings)
}

fn write_report(
    text: &mut String,
    heading: &str,
    report: &Report,
    findings: &[Finding],
) -> std::fmt::Result {
    let cores = &report.cores;
    writeln!(text, "{heading}")?;
    let mut line =
        |name: &str, value: String| writeln!(text, "  {name:<18} {}", wrapped(&shown(&value), 21));
    line("wall time", format!("{:.2} s", report.wall_seconds))?;
    line(
        "CPU time",
        format!(
            "{:.2} s: {:.2} of {} cores used on average",
            report.cpu_seconds, report.cores_used, cores.count
        ),
    )?;
    line(
        "cores",
        format!("{}, by the {} ({})", cores.count, cores.kind, cores.because),
    )?;
    line(
        "runnable threads",
        format!(
            "{} at most, {:.1} on average, on {} cores",
            report.runnable.peak, report.runnable.mean, cores.count
        ),
    )?;
    let wait = &report.wait;
    let least = if wait.exact { "" } else { "at least " };
    line(
        "run-queue wait",
        format!(
            "{least}{:.2} s: {:.1} % of thread time",
            wait.seconds,
            wait.share * 100.0
        ),
    )?;
    let count =
        |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    line(
        "context switches",
        format!(
            "{} involuntary, {} voluntary",
            count(report.switches.involuntary),
            count(report.switches.voluntary),
        ),
    )?;
    let least = if report.switches.migrations_exact {
        ""
    } else {
        "at least "
    };
    line(
        "migrations",
        format!(
            "{least}{} moves of a thread to another CPU",
            report.switches.migrations
        ),
    )?;
    if let Some(pressure) = report.cpu_pressure {
        line(
            "CPU pressure",
            format!(
                "some thread of the machine waited {:.0} % of the time",
                pressure * 100.0
            ),
        )?;
    }
    if let Some(throttling) = report
        .throttling
        .filter(|throttling| throttling.periods > 0)
    {
        line(
            "throttled",
            format!(
                "{} times, {:.2} s in all, by a CPU quota",
                throttling.periods, throttling.seconds
            ),
        )?;
    }
    write_who(text, report)?;
    write_timeline(text, &report.timeline, cores.count)?;
    for note in &report.notes {
        writeln!(text, "  note: {}", wrapped(&shown(note), 8))?;
    }
    write_findings(text, findings)
}

fn write_findings(text: &mut String, findings: &[Finding]) -> std::fmt::Result {
    if findings.is_empty() {
        return writeln!(
            text,
            "\n  {GOOD}nothing found that threads fight over{GOOD:#}"
        );
    }
    for finding in findings {
        let heading = format!(
            "{} ({}): {}",
            finding.rule, finding.confidence, finding.title
        );
        writeln!(text, "\n  {BAD}{}{BAD:#}", wrapped(&heading, 4))?;
        writeln!(text, "    why:  {}", wrapped(&shown(&finding.evidence), 10))?;
        writeln!(text, "    cost: {}", wrapped(&finding.cost, 10))?;
        for remedy in &finding.remedies {
            // Not broken, so that it can be copied.
            writeln!(text, "    try:  {TYPE}{}{TYPE:#}", shown(remedy))?;
        }
        writeln!(text, "    more: threadctl explain {}", finding.rule)?;
    }
    Ok(())
}

fn write_who(text: &mut String, report: &Report) -> std::fmt::Result {
    if report.who.is_empty() {
        return Ok(());
    }
    writeln!(text)?;
    writeln!(
        text,
        "  {:<24} {:>8} {:>6} {:>10} {:>10} {:>12}",
        "whose threads", "threads", "peak", "CPU, s", "waited, s", "overlap, s"
    )?;
    for group in &report.who {
        let guess = if group.guessed > 0 { " (guess)" } else { "" };
        let name: String = shown(&group.name).chars().take(24 - guess.len()).collect();
        writeln!(
            text,
            "  {:<24} {:>8} {:>6} {:>10.2} {:>10.2} {:>12.2}",
            format!("{name}{guess}"),
            group.threads,
            group.peak,
            group.cpu_seconds,
            group.wait_seconds,
            group.overlap_seconds
        )?;
    }
    Ok(())
}

/// The highest values in each column of a time line, from stretches with their beginning and length in seconds, and when the last one
/// ends.
pub(super) fn columns<T: Copy + Default + PartialOrd>(
    stretches: impl Iterator<Item = (f64, f64, T)> + Clone,
) -> Option<([T; COLUMNS], f64)> {
    let (first, _, _) = stretches.clone().next()?;
    let (last, seconds, _) = stretches.clone().last()?;
    let end = last + seconds;
    let width = (end - first).max(1e-9) / COLUMNS as f64;
    let mut columns = [T::default(); COLUMNS];
    for (at, seconds, value) in stretches {
        // A stretch covers all the columns that it reaches into, so that a long look leaves no gap.
        let column = |at: f64| (((at - first) / width) as usize).min(COLUMNS - 1);
        let covered = columns.get_mut(column(at)..=column(at + seconds));
        for height in covered.into_iter().flatten() {
            if value > *height {
                *height = value;
            }
        }
    }
    Some((columns, end))
}

/// A bar of this height, where the highest one is `most`.
pub(super) fn bar(height: f64, most: f64) -> char {
    let eighths = (height * 8.0 / most.max(1e-9)).ceil() as usize;
    BARS.get(eighths).copied().unwrap_or('█')
}

/// Runnable threads over time, a character for a stretch of it.
fn write_timeline(text: &mut String, points: &[Point], cores: u32) -> std::fmt::Result {
    let stretches = points
        .iter()
        .map(|point| (point.at, point.seconds, point.runnable));
    let Some((columns, end)) = columns(stretches) else {
        return Ok(());
    };
    let most = columns.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return Ok(());
    }
    let mut bars = String::new();
    let mut is_over = false;
    for height in columns {
        // Where there are more threads than cores the bars are marked, by two codes for each stretch.
        if is_over != (height > cores) {
            is_over = height > cores;
            if is_over {
                write!(bars, "{BAD}")?;
            } else {
                write!(bars, "{BAD:#}")?;
            }
        }
        bars.push(bar(f64::from(height), f64::from(most)));
    }
    if is_over {
        write!(bars, "{BAD:#}")?;
    }
    writeln!(text)?;
    writeln!(
        text,
        "  runnable threads over {end:.2} s (full height: {most} threads; cores: {cores})"
    )?;
    writeln!(text, "  |{bars}|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_the_screen_has_them() {
        let long = format!("    try:  {TYPE}{}{TYPE:#}", "x".repeat(150));
        let text = format!("heading\n{long}\nend\n");
        // Ten columns before the command: it takes two lines of 80, and four of 40.
        assert_eq!(fitting(&text, (4, 80)), text);
        assert_eq!(fitting(&text, (6, 40)), text);
        for size in [(3, 80), (4, 40), (5, 40)] {
            let shown = plain(&fitting(&text, size));
            let height = |line: &str| line.chars().count().div_ceil(size.1).max(1);
            let lines: usize = shown.lines().map(height).sum();
            assert!(lines <= size.0, "{size:?}: {shown}");
            assert!(
                shown.starts_with("heading\n") && shown.contains("(2 more lines"),
                "{size:?}: {shown}"
            );
        }
        // What takes two columns is counted so.
        let wide = "語".repeat(41);
        assert_eq!(fitting(&format!("{wide}\n"), (2, 80)), format!("{wide}\n"));
        assert!(fitting(&format!("{wide}\n"), (1, 80)).contains("(1 more lines"));
    }
}
