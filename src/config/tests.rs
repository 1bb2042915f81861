//! Values of the variables, right and wrong, without an environment.

use super::file::Trust;
use super::read::{Context, Scope, Settings};
use super::table::VARIABLES;
use super::tuning::TuningFile;
use crate::{ErrorKind, Limits, Workers};
use proptest::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use tracing::Level;

fn read_with(trust: Trust, values: &[(&str, &str)]) -> (Settings, Vec<String>) {
    let lookup = |name: &str| {
        let value = values.iter().find(|(known, _)| *known == name);
        value.map(|(_, value)| OsString::from(value))
    };
    let (settings, errors) = Settings::read(VARIABLES, &lookup, &Context::new(trust));
    assert!(
        errors
            .iter()
            .all(|error| error.kind() == ErrorKind::Configuration)
    );
    (settings, errors.iter().map(ToString::to_string).collect())
}

fn read(values: &[(&str, &str)]) -> (Settings, Vec<String>) {
    read_with(Trust::Full, values)
}

#[test]
fn each_value_is_taken() {
    let (settings, errors) = read(&[
        ("THREADCTL_NUM_THREADS", " -2 "),
        ("THREADCTL_LIMITS", "blas=1, openmp=4,/opt/lib.so=2"),
        ("THREADCTL_SCOPE", "Thread"),
        ("THREADCTL_LOG", "DEBUG"),
        ("THREADCTL_PIN", "On"),
        ("THREADCTL_TUNING", "/etc/tuning"),
        ("THREADCTL_BACKEND", "blis:/opt/liblapack.so.3"),
    ]);
    assert_eq!(errors, [""; 0]);
    assert_eq!(settings.num_threads, Workers::try_from(-2).ok());
    let limits = Limits::new().user_api("blas", 1).user_api("openmp", 4);
    assert_eq!(settings.limits, Some(limits.path("/opt/lib.so", 2)));
    assert_eq!(settings.scope, Scope::Thread);
    assert_eq!(settings.log, Some(Level::DEBUG));
    assert!(settings.pin);
    assert_eq!(settings.tuning, TuningFile::At("/etc/tuning".into()));
    assert_eq!(settings.backend, "blis:/opt/liblapack.so.3".parse().ok());
}

#[test]
fn a_budget_is_chosen_or_refused_and_never_named_for_programs_with_more_rights() {
    use crate::budget::{Auth, Choice};
    let chosen = |value: &str| {
        let (settings, errors) = read(&[("THREADCTL_JOBSERVER", value)]);
        assert_eq!(errors, [""; 0], "{value}");
        settings.jobserver
    };
    assert_eq!(chosen("Off"), Choice::Off);
    assert_eq!(chosen("no"), Choice::Off);
    assert_eq!(chosen("5,6"), Choice::At(Auth::Pipe { read: 5, write: 6 }));
    assert_eq!(
        chosen("fifo:/run/f"),
        Choice::At(Auth::Fifo("/run/f".into()))
    );
    for wrong in ["nope", "fifo:f", "1,x"] {
        let (settings, errors) = read(&[("THREADCTL_JOBSERVER", wrong)]);
        assert_eq!(settings, Settings::default());
        assert!(errors[0].contains("off or no; fifo:PATH"), "{errors:?}");
    }
    for named in ["5,6", "fifo:/run/f", "share:/run/s"] {
        let (settings, errors) = read_with(Trust::Names, &[("THREADCTL_JOBSERVER", named)]);
        assert_eq!((settings, errors), (Settings::default(), vec![]));
    }
}

#[test]
fn nothing_set_and_empty_values_are_the_defaults() {
    let empty: Vec<_> = VARIABLES
        .iter()
        .map(|variable| (variable.name, " "))
        .collect();
    for values in [&[][..], &empty] {
        assert_eq!(read(values), (Settings::default(), vec![]));
    }
    assert_eq!(read(&[("THREADCTL_LOG", "off")]).0, Settings::default());
}

#[test]
fn every_example_of_the_table_is_accepted() {
    for variable in VARIABLES {
        let (_, errors) = read(&[(variable.name, variable.example)]);
        assert_eq!(errors, [""; 0], "{}", variable.name);
    }
}

#[test]
fn a_wrong_value_names_variable_value_grammar_and_the_nearest_spelling() {
    for (name, value, near) in [
        ("THREADCTL_NUM_THREADS", "0", Some("-1")),
        ("THREADCTL_NUM_THREADS", "four", Some("-1")),
        ("THREADCTL_NUM_THREADS", "+4", Some("4")),
        ("THREADCTL_NUM_THREADS", "4.0", Some("4")),
        ("THREADCTL_NUM_THREADS", "4,2", Some("4")),
        ("THREADCTL_NUM_THREADS", "-2x", Some("-2")),
        ("THREADCTL_NUM_THREADS", "99999999999999999999", Some("-1")),
        ("THREADCTL_LIMITS", "blsa=1", Some("blas")),
        ("THREADCTL_LIMITS", "blas=1,openpm=2", Some("openmp")),
        ("THREADCTL_LIMITS", "blas=0", None),
        ("THREADCTL_LIMITS", "blas", None),
        ("THREADCTL_LIMITS", "blas=1,", None),
        ("THREADCTL_SCOPE", "proces", Some("process")),
        ("THREADCTL_SCOPE", "threads", Some("thread")),
        ("THREADCTL_SCOPE", "global", None),
        ("THREADCTL_LOG", "debgu", Some("debug")),
        ("THREADCTL_LOG", "warning", Some("warn")),
        ("THREADCTL_LOG", "2", None),
        ("THREADCTL_PIN", "onn", Some("on")),
        ("THREADCTL_PIN", "1", None),
        ("THREADCTL_TUNING", "of", Some("off")),
        ("THREADCTL_TUNING", "tuning", None),
        ("THREADCTL_TUNING", "./off", None),
    ] {
        let (settings, errors) = read(&[(name, value)]);
        assert_eq!(settings, Settings::default(), "{name}={value}");
        let [message] = &errors[..] else {
            unreachable!("{name}={value}: {errors:?}");
        };
        assert!(
            message.starts_with(&format!("{name}={value:?}: ")),
            "{message}"
        );
        let row = VARIABLES.iter().find(|variable| variable.name == name);
        assert!(
            row.is_some_and(|row| message.contains(row.grammar)),
            "{message}"
        );
        let asked = near.map(|near| format!("; did you mean {near:?}? "));
        match asked {
            Some(asked) => assert!(message.contains(&asked), "{message}"),
            None => assert!(!message.contains("did you mean"), "{message}"),
        }
    }
}

#[test]
fn a_wrong_value_leaves_the_others() {
    let (settings, errors) = read(&[("THREADCTL_SCOPE", "x"), ("THREADCTL_NUM_THREADS", "3")]);
    assert_eq!(errors.len(), 1);
    assert_eq!(settings.num_threads, Workers::try_from(3).ok());
}

#[test]
fn with_more_rights_than_the_caller_paths_are_ignored_and_names_are_not() {
    let limits = |text| read_with(Trust::Names, &[("THREADCTL_LIMITS", text)]);
    let blas = Some(Limits::new().user_api("blas", 1));
    assert_eq!(limits("blas=1, /tmp/own.so=2").0.limits, blas);
    assert_eq!(limits("blas=1").0.limits, blas);
    assert_eq!(limits("/tmp/own.so=2"), (Settings::default(), vec![]));
    assert_eq!(limits("blsa=1,/tmp/own.so=2").1.len(), 1);
}

#[test]
fn with_more_rights_than_the_caller_a_backend_is_known_by_name_or_not_used() {
    let backend = |text| {
        read_with(Trust::Names, &[("THREADCTL_BACKEND", text)])
            .0
            .backend
    };
    assert_eq!(backend("mkl"), "mkl".parse().ok());
    for files in ["/tmp/own.so", "libown.so.1", "blis:/tmp/own.so"] {
        assert_eq!(backend(files), None, "{files}");
    }
}

#[test]
fn with_more_rights_than_the_caller_no_tuning_is_read() {
    let here = |name: &str| (name == "HOME").then(|| OsString::from("/home/me"));
    for value in ["/tmp/own", "off", ""] {
        let (settings, errors) = read_with(Trust::Names, &[("THREADCTL_TUNING", value)]);
        assert_eq!(errors, [""; 0]);
        assert_eq!(settings.tuning.path_in(Trust::Names, &here), None);
    }
    let context = Context::new(Trust::Names);
    let named = |_: &str| Some(OsString::from("/tmp/own"));
    let row = VARIABLES
        .iter()
        .position(|row| row.name == "THREADCTL_TUNING")
        .unwrap();
    let _ = Settings::read(&VARIABLES[row..=row], &named, &context);
    assert_eq!(
        context.refused.into_inner().len(),
        1,
        "it is reported as not used"
    );
}

#[test]
fn the_tuning_is_in_the_cache_unless_a_variable_says_otherwise() {
    let path = |tuning: &str, cache: &str, home: &str| {
        let lookup = |name: &str| match name {
            "XDG_CACHE_HOME" => Some(OsString::from(cache)),
            "HOME" => Some(OsString::from(home)),
            _ => None,
        };
        let (settings, _) = read(&[("THREADCTL_TUNING", tuning)]);
        let path = settings.tuning.path_in(Trust::Full, &lookup)?;
        Some(path.to_str().unwrap().to_owned())
    };
    for (tuning, cache, home, expected) in [
        ("", "/c", "/h", Some("/c/threadctl/tuning")),
        ("", "", "/h", Some("/h/.cache/threadctl/tuning")),
        ("", "c", "/h", Some("/h/.cache/threadctl/tuning")),
        ("", "", "", None),
        ("OFF", "/c", "/h", None),
        ("/t", "/c", "/h", Some("/t")),
    ] {
        assert_eq!(path(tuning, cache, home).as_deref(), expected);
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    let lookup = |_: &str| Some(OsString::from_vec(vec![0xff, b'1']));
    let context = Context::new(Trust::Full);
    let (settings, errors) = Settings::read(VARIABLES, &lookup, &context);
    assert_eq!(settings, Settings::default());
    assert_eq!(errors.len(), VARIABLES.len());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let lookup = |_: &str| Some(OsString::from_vec(bytes.clone()));
        for trust in [Trust::Full, Trust::Names] {
            let _ = Settings::read(VARIABLES, &lookup, &Context::new(trust));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(-|\\+)?[0-9]{0,25}\\PC{0,3}|[a-z/=,0-9]*|\\PC*") {
        for variable in VARIABLES {
            let _ = read(&[(variable.name, &text)]);
        }
    }
}
