//! Holds documents against the committed schemas.

#[path = "../schema/mod.rs"]
mod documents;

pub use documents::check_with;
use documents::{agree, check_closed};
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../../docs/schema/threadctl.run.1.json");

/// Of `threadctl watch`.
const WATCH: &str = include_str!("../../../../docs/schema/threadctl.watch.1.json");

/// Of `threadctl doctor`.
const DOCTOR: &str = include_str!("../../../../docs/schema/threadctl.doctor.1.json");

/// Of `threadctl share`, whose tests read this file too.
pub const SHARE: &str = include_str!("../../../../docs/schema/threadctl.share.1.json");

/// Panics where the document does not agree with the schema.
#[track_caller]
pub fn check(document: &Value) {
    check_with(SCHEMA, document);
}

/// The same for `threadctl watch`.
#[track_caller]
pub fn check_watch(document: &Value) {
    check_with(WATCH, document);
}

/// The same for `threadctl doctor`.
#[track_caller]
pub fn check_doctor(document: &Value) {
    check_with(DOCTOR, document);
}

/// Where a document of `threadctl run` does not agree with its schema.
pub fn problems(document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut problems = Vec::new();
    agree(&schema, &schema, document, "document", &mut problems);
    problems
}

#[test]
fn every_object_of_the_schema_is_closed_and_every_field_required() {
    for schema in [SCHEMA, WATCH, DOCTOR, SHARE] {
        check_closed(schema);
    }
}
