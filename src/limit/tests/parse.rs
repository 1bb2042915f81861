//! Limits as text.

use crate::limit::Limits;
use crate::{Error, ErrorKind};
use proptest::prelude::*;

fn error(text: &str) -> Error {
    match text.parse::<Limits>() {
        Ok(limits) => unreachable!("{text:?} was read as {limits:?}"),
        Err(error) => error,
    }
}

#[test]
fn each_name_is_what_it_says() {
    for (text, expected) in [
        ("all=1", Limits::new().all(1)),
        ("blas=2", Limits::new().user_api("blas", 2)),
        ("rayon=2", Limits::new().user_api("rayon", 2)),
        ("mkl=3", Limits::new().internal_api("mkl", 3)),
        ("libmkl=4", Limits::new().prefix("libmkl", 4)),
        ("libmkl_rt=4", Limits::new().prefix("libmkl_rt", 4)),
        (
            "libopenblasp-r0=4",
            Limits::new().prefix("libopenblasp-r0", 4),
        ),
        (
            "/lib/a=b.so = 2147483647",
            Limits::new().path("/lib/a=b.so", 2_147_483_647),
        ),
        (
            " blas=1 , openmp = 4,libmkl=2,all=1,/path/lib.so=3",
            Limits::new()
                .user_api("blas", 1)
                .user_api("openmp", 4)
                .prefix("libmkl", 2)
                .all(1)
                .path("/path/lib.so", 3),
        ),
    ] {
        assert_eq!(text.parse::<Limits>().ok(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_limit_is_told_with_its_entry() {
    for limit in [
        "0",
        "-0",
        "--1",
        "-",
        "- 1",
        "+1",
        "x",
        "",
        "1.5",
        "1 2",
        "2147483648",
        "99999999999999999999",
    ] {
        let text = format!("openmp=1,blas={limit}");
        let error = error(&text);
        assert_eq!(error.kind(), ErrorKind::InvalidLimit, "{text}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("blas={limit}")), "{message}");
        assert!(message.contains("from 1 to 2147483647"), "{message}");
    }
}

#[test]
fn workers_are_counted_when_they_are_read() {
    let cores = crate::cores().count();
    for (text, limit) in [
        ("-1", cores),
        ("-2", cores.saturating_sub(1).max(1)),
        ("-99999", 1),
    ] {
        let read = format!("blas={text}, openmp=3").parse::<Limits>();
        let expected = Limits::new().user_api("blas", limit).user_api("openmp", 3);
        assert_eq!(read.ok(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_selection_is_told_with_its_entry() {
    for (text, expected) in [
        ("", "is empty"),
        ("blas=1,", "is empty"),
        ("blas=1,,all=1", "is empty"),
        ("blas", "blas: it has no limit"),
        ("=3", "=3: it does not say what to limit"),
        ("blas=1, blas=2", "blas=2: blas has a limit already"),
        ("blsa=1", "blsa=1: no runtime has the"),
        ("relative/lib.so=1", "relative/lib.so=1: no runtime has"),
        ("libm=1", "libm=1: no runtime has"),
        ("lib=1", "lib=1: no runtime has"),
    ] {
        let error = error(text);
        assert_eq!(error.kind(), ErrorKind::InvalidSelection, "{text}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_misspelt_name_gets_the_nearest_one() {
    for (text, near) in [
        ("blsa=1", "blas"),
        ("BLAS=1", "blas"),
        ("opneblas=1", "openblas"),
        ("open_mp=1", "openmp"),
        ("libopenbals=1", "libopenblas"),
        ("blis_=1", "blis"),
    ] {
        let message = error(text).to_string();
        assert!(
            message.contains(&format!("did you mean {near:?}?")),
            "{message}"
        );
    }
    let message = error("something=1").to_string();
    assert!(
        message.contains("known are") && message.contains("libscipy_openblas"),
        "{message}"
    );
}

#[test]
fn the_builder_is_checked_when_a_plan_is_made() {
    let plan = |limits: Limits| limits.plan(&crate::Runtimes::default());
    for (limits, kind, entry) in [
        (Limits::new().all(0), ErrorKind::InvalidLimit, "all=0"),
        (
            Limits::new().user_api("blas", u32::MAX),
            ErrorKind::InvalidLimit,
            "blas=4294967295",
        ),
        (
            Limits::new().user_api("openblas", 1),
            ErrorKind::InvalidSelection,
            "no runtime has the user_api \"openblas\"",
        ),
        (
            Limits::new().internal_api("blsi", 1),
            ErrorKind::InvalidSelection,
            "did you mean \"blis\"?",
        ),
        (
            Limits::new().prefix("", 1),
            ErrorKind::InvalidSelection,
            "prefix",
        ),
        (
            Limits::new().path("lib/a.so", 1),
            ErrorKind::InvalidSelection,
            "absolute path",
        ),
    ] {
        let Err(error) = plan(limits.clone()) else {
            unreachable!("{limits:?} became a plan")
        };
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(entry), "{error}");
    }
    // The second of two for one name counts.
    let twice = Limits::new().all(0).all(2);
    assert_eq!(twice, Limits::new().all(2));
    assert!(plan(twice).is_ok());
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "all",
            "blas",
            "openmp",
            "rayon",
            "openblas",
            "mkl",
            "blis",
            "atlas",
            "flexiblas",
            "libmkl",
            "libgomp",
            "libscipy_openblas",
            "libopenblas64_",
        ])
        .prop_map(str::to_owned),
        "/[a-z0-9=. ]{0,8}[a-z]",
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Limits>();
    }

    #[test]
    fn no_near_miss_makes_the_parser_panic(text in "[abls=, 0-9/-]{0,24}") {
        if let Err(error) = text.parse::<Limits>() {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn what_was_read_is_written_so_that_it_reads_the_same(
        entries in prop::collection::btree_map(name(), 1..=2_147_483_647_u32, 1..6),
        blank in " {0,2}",
    ) {
        let text: Vec<String> = entries
            .iter()
            .map(|(name, limit)| format!("{blank}{name}{blank}={blank}{limit}{blank}"))
            .collect();
        let limits: Limits = text.join(",").parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        let again = limits.to_string().parse::<Limits>();
        prop_assert_eq!(again.ok(), Some(limits));
    }
}
