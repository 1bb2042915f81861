//! The page in a real browser: what it contains there, that it is not blank, complains of nothing and fetches nothing.

use super::{colours, common, draw, report, stderr};
use std::path::Path;
use std::process::{Command, Output};

/// Opens a page in a browser that has never run before and reaches nobody; `what` it is to do with it.
fn browse(folder: &Path, page: &Path, what: &[&str]) -> Output {
    let profile = tempfile::tempdir_in(folder).unwrap();
    Command::new(common::library("chromium"))
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ])
        // What pages write to the console goes to standard error.
        .args([
            "--enable-logging=stderr",
            "--log-level=0",
            "--hide-scrollbars",
            "--window-size=1100,1400",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(what)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap()
}

/// A page in the browser: its document, what it complained of, and what it asked the network for.
struct Shown {
    dom: String,
    complaints: Vec<String>,
    requests: Vec<String>,
}

fn show(folder: &Path, page: &Path) -> Shown {
    let log = folder.join("net.json");
    let what = ["--dump-dom", &format!("--log-net-log={}", log.display())];
    let output = browse(folder, page, &what);
    assert!(output.status.success(), "{}", stderr(&output));
    let complaints = stderr(&output)
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .map(str::to_owned)
        .collect();
    // The browser asks its maker for this and that; what a page asks for carries where the page is from.
    let log = std::fs::read_to_string(log).unwrap();
    let of_page = |line: &&str| {
        line.contains("\"network_isolation_key\":\"file://")
            && ["http", "ws", "ftp"]
                .iter()
                .any(|scheme| line.contains(&format!("\"url\":\"{scheme}")))
    };
    Shown {
        dom: String::from_utf8(output.stdout).unwrap(),
        complaints,
        requests: log.lines().filter(of_page).map(str::to_owned).collect(),
    }
}

#[test]
fn a_browser_shows_the_page_and_asks_nobody_for_anything() {
    if let Some(why) = common::absent("chromium") {
        assert!(!why.is_empty());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let page = draw(folder.path(), &report(10, 60.0, 1000, 4), "html");
    let Shown {
        dom,
        complaints,
        requests,
    } = show(folder.path(), &page);
    assert_eq!(dom.matches("class=\"tc-area\"").count(), 10, "{dom}");
    assert!(dom.contains("data-cores=\"4\""), "{dom}");
    for words in [
        "Two pools of threads nest",
        "threadctl run --limit blas=1",
        "25.0 % of thread time",
        "a note",
        "ended with status 0",
    ] {
        assert!(dom.contains(words), "no {words:?} in {dom}");
    }
    // What a command is called does not become a part of the page.
    assert!(
        dom.contains("job &lt;b&gt;&amp;amp;\\u{1b}[31m")
            && !dom.contains("<b>")
            && !dom.contains("<script"),
        "{dom}"
    );
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(requests.is_empty(), "{requests:?}");

    // Were something to be fetched, it would be noticed: the page's policy forbids it, and without the policy it is asked for.
    let picture = "<img src=\"http://example.invalid/x.png\"></main>";
    let text = std::fs::read_to_string(&page)
        .unwrap()
        .replace("</main>", picture);
    std::fs::write(&page, &text).unwrap();
    let forbidden = show(folder.path(), &page);
    assert!(forbidden.requests.is_empty(), "{:?}", forbidden.requests);
    assert!(
        forbidden
            .complaints
            .iter()
            .any(|line| line.contains("example.invalid")),
        "{:?}",
        forbidden.complaints
    );
    std::fs::write(&page, text.replace("Content-Security-Policy", "x")).unwrap();
    assert!(!show(folder.path(), &page).requests.is_empty());
}

#[test]
fn the_page_is_not_blank_on_light_nor_on_dark() {
    if let Some(why) = common::absent("chromium") {
        assert!(!why.is_empty());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let page = draw(folder.path(), &report(3, 2.0, 100, 2), "html");
    let paper = [[0xff; 3], [0x14, 0x16, 0x1a]];
    for (dark, paper) in [
        (&[] as &[&str], paper[0]),
        (&["--blink-settings=preferredColorScheme=0"], paper[1]),
    ] {
        let picture = folder.path().join("page.png");
        let mut what = vec![format!("--screenshot={}", picture.display())];
        what.extend(dark.iter().map(|option| (*option).to_owned()));
        let what: Vec<&str> = what.iter().map(String::as_str).collect();
        let output = browse(folder.path(), &page, &what);
        assert!(output.status.success(), "{}", stderr(&output));
        let colours = colours(&picture);
        let count = |colour: [u8; 3]| colours.get(&colour).copied().unwrap_or(0);
        let all: usize = colours.values().sum();
        assert!(
            count(paper) > all / 2,
            "{paper:?}: {} of {all}",
            count(paper)
        );
        for group in [[0x00, 0x72, 0xb2], [0xe6, 0x9f, 0x00], [0x00, 0x9e, 0x73]] {
            assert!(
                count(group) > 500,
                "{group:?}: {} on {paper:?}",
                count(group)
            );
        }
    }
}
