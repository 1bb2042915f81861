//! Holds documents against a committed schema: every field there, of its type, and none that the schema does not name.
//! It understands the few words of JSON Schema that ours use, and refuses a schema with any other.
#![allow(dead_code, reason = "each test program uses a part of it")]

use serde_json::Value;

const WORDS: &[&str] = &[
    "$schema",
    "$id",
    "title",
    "description",
    "$defs",
    "$ref",
    "type",
    "const",
    "enum",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
];

/// Panics where the document does not agree with the schema.
#[track_caller]
pub fn check_with(schema: &str, document: &Value) {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let mut problems = Vec::new();
    agree(&schema, &schema, document, "document", &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Adds what is wrong.
pub fn agree(root: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let fields = schema.as_object().unwrap();
    for word in fields.keys() {
        assert!(
            WORDS.contains(&word.as_str()),
            "the schema's {word} is not understood here"
        );
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return agree(root, target, value, at, problems);
    }
    let mut wrong = |why: String| problems.push(format!("{at}: {why}"));
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allows = |name: &Value| name == kind || (name == "number" && kind == "integer");
    let allowed = match &schema["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(allows),
        name => allows(name),
    };
    if !allowed {
        wrong(format!("{kind} instead of {}", schema["type"]));
    }
    if fields
        .get("const")
        .is_some_and(|constant| constant != value)
    {
        wrong(format!("{value} instead of {}", schema["const"]));
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|values| !values.contains(value))
    {
        wrong(format!("{value} is none of {}", schema["enum"]));
    }
    let number = value.as_f64();
    let below = number
        .zip(schema["minimum"].as_f64())
        .is_some_and(|(value, least)| value < least);
    let above = number
        .zip(schema["maximum"].as_f64())
        .is_some_and(|(value, most)| value > most);
    if below || above {
        wrong(format!("{value} is out of range"));
    }
    let required = schema["required"].as_array();
    for name in required.into_iter().flatten().filter(|_| value.is_object()) {
        if value.get(name.as_str().unwrap()).is_none() {
            wrong(format!("{name} is missing"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (
            schema["properties"].get(name),
            &schema["additionalProperties"],
        ) {
            (Some(property), _) => agree(root, property, value, &at, problems),
            (None, Value::Object(_)) => {
                agree(root, &schema["additionalProperties"], value, &at, problems)
            }
            (None, _) => problems.push(format!("{at} is not in the schema")),
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), fields.get("items")) {
        for (index, item) in items.iter().enumerate() {
            agree(root, schema, item, &format!("{at}[{index}]"), problems);
        }
    }
}

/// Panics where an object of the schema is open, or one of its fields may be left out.
#[track_caller]
pub fn check_closed(schema: &str) {
    fn walk(schema: &Value, at: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            let required: Vec<_> = schema["required"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            assert!(
                properties
                    .keys()
                    .all(|name| required.contains(&name.as_str())),
                "{at}"
            );
        }
        match schema {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, value)| walk(value, &format!("{at}/{name}"))),
            Value::Array(items) => items.iter().for_each(|item| walk(item, at)),
            _ => {}
        }
    }
    walk(&serde_json::from_str(schema).unwrap(), "");
}
