//! Tunings as text and as files, without a library.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{Family, Least, Name, Tuning};
use crate::ErrorKind;
use crate::config::TuningFile;
use proptest::prelude::*;

fn wrong(text: &str) -> String {
    let error = text.parse::<Tuning>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    error.to_string()
}

#[test]
fn a_library_has_its_own_numbers_and_built_in_ones_for_the_rest() {
    let text = "# measured on Monday\n\nopenblas 0.3.34 Zen product 373248 # n = 72\r\n  blis 0.9.0 ? dot never";
    let tuning: Tuning = text.parse().unwrap();
    let zen = Name::new("openblas", Some("0.3.34"), Some("Zen"));
    assert_eq!(
        tuning.least(&zen),
        Least::BUILT_IN.with(Family::Product, 373_248)
    );
    let blis = Name::new("blis", Some("0.9.0"), None);
    assert_eq!(
        tuning.least(&blis),
        Least::BUILT_IN.with(Family::Dot, Least::NEVER)
    );
    for other in [
        Name::new("openblas", Some("0.3.34"), Some("Haswell")),
        Name::new("openblas", Some("0.3.33"), Some("Zen")),
        Name::new("mkl", Some("0.3.34"), Some("Zen")),
    ] {
        assert_eq!(tuning.least(&other), Least::BUILT_IN, "{other}");
    }
}

#[test]
fn a_wrong_line_is_named_with_what_is_accepted() {
    for (line, value, accepted) in [
        ("openblas 1 Zen gem 5", "\"gem\"", "product, mirrored"),
        ("openblas 1 Zen sidse 5", "did you mean \"sides\"?", "trsv"),
        ("openblas 1 Zen dot 0", "\"0\"", "from 1 to"),
        ("openblas 1 Zen dot -5", "\"-5\"", "whole bytes"),
        ("openblas 1 Zen product 1e6", "\"1e6\"", "whole pairs"),
        (
            "openblas 1 Zen dot 99999999999999999999",
            "999",
            "or `never`",
        ),
        (
            "openblas 1 Zen dot 18446744073709551615",
            "615",
            "or `never`",
        ),
        ("openblas 1 Zen dot", "4 words, not 5", "as in"),
        ("openblas 1 Zen dot 5 5", "6 words, not 5", "as in"),
        ("openblas 1 Zen gemv 5", "a number for gemv already", ""),
    ] {
        let error = wrong(&format!("# one\nopenblas 1 Zen gemv 4096\n{line}\n"));
        assert!(error.starts_with("tuning, line 3: "), "{error}");
        assert!(error.contains(value) && error.contains(accepted), "{error}");
    }
}

#[test]
fn names_are_words_whatever_libraries_say() {
    let name = Name::new("my blas", Some(" 1.0\t# beta\n"), Some(""));
    assert_eq!(name.to_string(), "my_blas 1.0___beta ?");
    let text = Tuning::replaced("", &name, &[(Family::Her, 4096)]).unwrap();
    let tuning: Tuning = text.parse().unwrap();
    assert_eq!(tuning.least(&name).get(Family::Her), 4096);
}

#[test]
fn other_libraries_routines_and_comments_stay() {
    let text =
        "# mine\nopenblas 1 Zen dot 5\nopenblas 1 Haswell dot 6 # keep\nopenblas 1 Zen her 7\n";
    let zen = Name::new("openblas", Some("1"), Some("Zen"));
    let numbers = [(Family::Dot, Least::NEVER), (Family::Product, 8)];
    let text = Tuning::replaced(text, &zen, &numbers).unwrap();
    assert_eq!(
        text,
        "# mine\nopenblas 1 Haswell dot 6 # keep\nopenblas 1 Zen her 7\nopenblas 1 Zen dot never\n\
         openblas 1 Zen product 8\n"
    );
    assert!(Tuning::replaced("nonsense", &zen, &numbers).is_err());
}

#[test]
fn a_file_is_read_whole_or_not_at_all_and_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning");
    let file = TuningFile::At(path.clone());
    assert_eq!(Tuning::of(&TuningFile::Off).unwrap(), Tuning::default());
    assert_eq!(
        Tuning::of(&file).unwrap(),
        Tuning::default(),
        "it may come yet"
    );
    assert_eq!(Tuning::read(&path).unwrap_err().kind(), ErrorKind::System);

    std::fs::write(&path, "blis 1 zen dot 5\nblis 1 zen dto 5\n").unwrap();
    let error = Tuning::of(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let start = format!("{}, line 2: ", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");

    for (bytes, kind) in [
        (vec![b'#', 0xff], ErrorKind::Configuration),
        (vec![b'#'; (1 << 20) + 1], ErrorKind::System),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = Tuning::of(&file).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }
    let error = Tuning::of(&TuningFile::At(folder.path().to_owned())).unwrap_err();
    assert!(error.to_string().contains("it is no file"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*|([a-z?]{1,4} [0-9.]{1,3} Z (dot|product|x) (never|-?[0-9]{0,21}) ?#?[\\n\\r]{0,2}){0,4}") {
        let name = Name::new("blis", None, None);
        let read = text.parse::<Tuning>();
        let replaced = Tuning::replaced(&text, &name, &[(Family::Dot, 9)]);
        prop_assert_eq!(read.is_ok(), replaced.is_ok());
        if let (Ok(read), Ok(replaced)) = (read, replaced) {
            let after: Tuning = replaced.parse().unwrap();
            prop_assert_eq!(after.least(&name).get(Family::Dot), 9);
            for name in read.names().filter(|other| **other != name) {
                prop_assert_eq!(after.least(name), read.least(name));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        words in proptest::array::uniform3("\\PC*"), family in 0_usize..Family::ALL.len(), number in 1_usize..,
    ) {
        let [api, version, kernels] = &words;
        let name = Name::new(api, Some(version), Some(kernels));
        let family = Family::ALL[family];
        let text = Tuning::replaced("# a\n", &name, &[(family, number)]).unwrap();
        let tuning: Tuning = text.parse().unwrap();
        prop_assert_eq!(tuning.least(&name), Least::BUILT_IN.with(family, number));
    }
}
