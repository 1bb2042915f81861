//! SVG, PNG and HTML as files, and what becomes of the command when they cannot be written.

use super::{areas, colours, common, draw, report, stderr, threadctl};
use serde_json::json;
use std::os::unix::fs::symlink;

#[test]
fn a_drawing_has_every_group_the_cores_and_no_bad_number() {
    for (groups, seconds, looks, cores) in [
        (1, 0.2, 12, 2),
        (10, 60.0, 1000, 4),
        (12, 3600.0, 1024, 128),
        (3, 0.001, 1, 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = draw(folder.path(), &report(groups, seconds, looks, cores), "svg");
        let text = std::fs::read_to_string(file).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let there = if looks == 1 { 1 } else { groups as usize };
        let expected = if there > 9 { 10 } else { there };
        assert_eq!(
            areas(&document).len(),
            expected,
            "{groups} groups in {seconds} s"
        );
        let cores_line = document
            .descendants()
            .find(|node| node.has_attribute("data-cores"))
            .unwrap();
        assert_eq!(
            cores_line.attribute("data-cores").unwrap(),
            cores.to_string()
        );
        let texts: Vec<&str> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .filter_map(|node| node.text())
            .collect();
        for words in [
            "Runnable threads, by whose they are",
            "Threads that waited for a core",
        ] {
            assert!(texts.contains(&words), "{texts:?}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        for node in document.descendants() {
            for name in ["x", "y", "x1", "x2", "y1", "y2"] {
                let Some(place) = node.attribute(name) else {
                    continue;
                };
                let place: f64 = place.parse().unwrap();
                assert!((0.0..=960.0).contains(&place), "{name} of {node:?}");
            }
        }
        let root = document.root_element();
        let named_by = root.attribute("aria-labelledby").unwrap();
        for id in named_by.split(' ') {
            assert!(
                document
                    .descendants()
                    .any(|node| node.attribute("id") == Some(id)),
                "{id}"
            );
        }
    }
}

#[test]
fn no_look_at_all_is_a_picture_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut nothing = report(1, 0.1, 1, 2);
    nothing["timeline"] = json!([]);
    nothing["who"] = json!([]);
    for ending in ["svg", "png", "html"] {
        let size = std::fs::metadata(draw(folder.path(), &nothing, ending))
            .unwrap()
            .len();
        assert!(size > 500, "{ending}: {size}");
    }
}

#[test]
fn a_png_has_the_colours_and_the_letters() {
    let folder = tempfile::tempdir().unwrap();
    let colours = colours(&draw(folder.path(), &report(2, 2.0, 100, 2), "png"));
    let count = |colour: [u8; 3]| colours.get(&colour).copied().unwrap_or(0);
    let all: usize = colours.values().sum();
    assert_eq!(all, 1920 * 1080);
    // The groups, what waited, and black for the text and the line of cores.
    for colour in [
        [0x00, 0x72, 0xb2],
        [0xe6, 0x9f, 0x00],
        [0xb3, 0x26, 0x1e],
        [0x1b, 0x1e, 0x23],
    ] {
        assert!(count(colour) > 300, "{colour:?}: {}", count(colour));
    }
    let white = count([255; 3]);
    assert!(white > all / 4 && white < all * 9 / 10, "{white} of {all}");
}

#[test]
fn what_is_wrong_is_said_before_the_command_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    for wrong in ["picture.pdf", "picture", ".svg"] {
        let output = threadctl(&["run", "--plot", wrong, "--", "touch"])
            .arg(&started)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(
            text.contains(wrong) && text.contains("FILE.svg, FILE.png or FILE.html"),
            "{text}"
        );
        assert!(!started.exists());
    }
}

#[test]
fn a_picture_that_cannot_be_written_costs_the_picture_only() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full.svg");
    symlink("/dev/full", &full).unwrap();
    let nowhere = folder.path().join("no/such/folder.png");
    for file in [full, nowhere] {
        let output = threadctl(&["run", "--plot"])
            .arg(&file)
            .args(["--", "sh", "-c", "exit 5"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains(file.to_str().unwrap()), "{text}");
        assert!(
            text.contains("ended with status 5"),
            "the report is there: {text}"
        );
    }
}

#[test]
fn a_report_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    for (text, words) in [
        ("{", "no JSON"),
        ("{}", "names no schema"),
        (r#"{"schema":"threadctl.cores/1"}"#, "threadctl.cores/1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = threadctl(&["plot"])
            .arg(&file)
            .args(["-o", "x.svg"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn a_run_is_drawn_at_once_and_again_from_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, document) = (
        folder.path().join("run.svg"),
        folder.path().join("run.json"),
    );
    let mut run = threadctl(&["run", "--json", "--report"]);
    common::without_thread_variables(&mut run);
    let script = "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
    let output = run
        .arg(&document)
        .arg("--plot")
        .arg(&picture)
        .args(["--", "sh", "-c", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(&picture).unwrap();
    assert!(
        !areas(&roxmltree::Document::parse(&text).unwrap()).is_empty(),
        "{text}"
    );
    let again = folder.path().join("again.svg");
    let output = threadctl(&["plot"])
        .arg(&document)
        .arg("-o")
        .arg(&again)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(again).unwrap(), text);
}
