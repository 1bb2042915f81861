//! `threadctl cores`: how many cores a process may really use, and why.

pub(crate) mod args;
mod json;
mod table;

use anyhow::Result;
use threadctl::Cores;
use threadctl::config::Settings;
use threadctl::cores::System;

use crate::{Verdict, out};

/// Asks and prints.
pub(crate) fn run(args: &args::CoresArgs) -> Result<Verdict> {
    let cores = match args.pid {
        Some(pid) => Cores::for_pid(pid)?,
        None => threadctl::cores(),
    };
    if args.json {
        out::json(&json::Document::new(args.pid, &cores))?;
        return Ok(Verdict::Good);
    }
    if args.explain {
        // Another process's workers are its own business.
        let places = args.pid.is_none().then(|| table::Places {
            places: System::this().places(),
            pinned: Settings::from_env().is_ok_and(|settings| settings.pin),
        });
        out::text(&table::of(&cores, places.as_ref()))?;
        return Ok(Verdict::Good);
    }
    let count = if args.logical {
        cores.logical()
    } else {
        cores.count()
    };
    // Standard output has the number alone, for `$(threadctl cores)`; a user's mistake must still be seen.
    for problem in cores.problems() {
        out::complain(&out::shown(problem));
    }
    out::text(&count.to_string())?;
    Ok(Verdict::Good)
}
