//! The names by which runtimes can be selected: those of the catalog, and those registered so far.

use super::{catalog, custom};
use std::collections::BTreeSet;

/// Every name of each kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub user_apis: BTreeSet<String>,
    pub internal_apis: BTreeSet<String>,
    pub prefixes: BTreeSet<String>,
}

/// The names that are known now.
pub(crate) fn names() -> Names {
    let mut names = Names::default();
    for row in catalog::ROWS {
        names.user_apis.insert(row.user_api.to_owned());
        names.internal_apis.insert(row.internal_api.to_owned());
        names
            .prefixes
            .extend(row.prefixes.iter().map(|&prefix| prefix.to_owned()));
    }
    // rayon is part of the program, not a file with a prefix.
    names.user_apis.insert("rayon".to_owned());
    names.internal_apis.insert("rayon".to_owned());
    for row in custom::rows() {
        let user_api = row.user_api.as_ref().unwrap_or(&row.internal_api);
        names.user_apis.insert(user_api.clone());
        names.internal_apis.insert(row.internal_api.clone());
        names
            .prefixes
            .extend(row.prefixes.iter().filter(|name| !name.is_empty()).cloned());
    }
    names
}
