//! The fields of a request to AWS Batch, as AWS's model of its API has them.
//!
//! `fields.json` is made from that model by `scripts/batch_fields.py`, so that a field that Batch has needs no line here.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Types of fields by name, by the name of the structure.
static STRUCTURES: LazyLock<HashMap<&str, HashMap<&str, Type>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("fields.json")).expect("the file is checked by a test"));

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Type {
    /// `string`, `integer`, `long`, `boolean`, or the name of a structure.
    Named(#[serde(borrow)] &'static str),
    List([Box<Type>; 1]),
    Map {
        #[serde(rename = "*")]
        value: Box<Type>,
    },
}

/// What of a value does not fit a structure of the model; `None` if all of it does. It names fields, and shows no values.
///
/// Which fields are required, and what they may hold, is left to AWS.
#[must_use]
pub fn problem(structure: &str, value: &Map<String, Value>) -> Option<String> {
    let Some(fields) = STRUCTURES.get(structure) else {
        return Some(format!("{structure} is no structure of AWS Batch"));
    };
    value.iter().find_map(|(name, value)| match fields.get(name.as_str()) {
        Some(expected) => problem_of_type(expected, value, &format!("{structure}.{name}")),
        None => Some(format!("{structure} has no field {name}{}", hint(name, fields.keys()))),
    })
}

/// Which of the names was probably meant, as a question; empty if none is near.
fn hint<'a>(name: &str, names: impl Iterator<Item = &'a &'static str>) -> String {
    let lower = name.to_lowercase();
    let nearest = names.map(|known| (distance(&lower, &known.to_lowercase()), *known)).min();
    match nearest.filter(|(distance, _)| *distance <= name.len().div_ceil(3)) {
        Some((_, known)) => format!(": did you mean {known}?"),
        None => String::new(),
    }
}

/// Levenshtein's: how many letters have to be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &another) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != another);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

fn problem_of_type(expected: &Type, value: &Value, path: &str) -> Option<String> {
    match (expected, value) {
        (Type::Named("string"), Value::String(_)) | (Type::Named("boolean"), Value::Bool(_)) => None,
        (Type::Named("integer" | "long"), Value::Number(number)) if !number.is_f64() => None,
        (Type::Named(name @ ("string" | "boolean" | "integer" | "long")), _) => Some(format!("{path} is no {name}")),
        (Type::Named(structure), Value::Object(value)) => problem(structure, value),
        (Type::Named(structure), _) => Some(format!("{path} is no {structure}")),
        (Type::List([element]), Value::Array(values)) => {
            values.iter().find_map(|value| problem_of_type(element, value, path))
        }
        (Type::List(_), _) => Some(format!("{path} is no list")),
        (Type::Map { value: element }, Value::Object(values)) => {
            values.values().find_map(|value| problem_of_type(element, value, path))
        }
        (Type::Map { .. }, _) => Some(format!("{path} is no map")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_job(value: &Value) -> Option<String> {
        problem("SubmitJobRequest", value.as_object().unwrap())
    }

    #[test]
    fn the_file_can_be_read_and_its_structures_are_all_there() {
        fn named(expected: &Type) -> &str {
            match expected {
                Type::Named(name) => name,
                Type::List([element]) | Type::Map { value: element } => named(element),
            }
        }
        let scalars = ["string", "boolean", "integer", "long"];
        for expected in STRUCTURES.values().flat_map(HashMap::values) {
            let name = named(expected);
            assert!(scalars.contains(&name) || STRUCTURES.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_fits_is_taken() {
        let job = json!({
            "jobName": "j", "tags": {"a": "b"}, "propagateTags": true, "timeout": {"attemptDurationSeconds": 60},
            "containerOverrides": {"environment": [{"name": "A", "value": "1"}]},
            "consumableResourcePropertiesOverride": {"consumableResourceList": [{"consumableResource": "r", "quantity": 1}]},
        });
        assert_eq!(of_job(&job), None);
    }

    #[test]
    fn a_field_that_batch_does_not_have_is_named_and_no_value_shown() {
        let cases = [
            (json!({"jobNmae": "secret"}), "SubmitJobRequest has no field jobNmae: did you mean jobName?"),
            (json!({"colour": "secret"}), "SubmitJobRequest has no field colour"),
            (json!({"jobName": 17}), "SubmitJobRequest.jobName is no string"),
            (json!({"propagateTags": "secret"}), "SubmitJobRequest.propagateTags is no boolean"),
            (json!({"timeout": {"attemptDurationSeconds": 60.5}}), "JobTimeout.attemptDurationSeconds is no integer"),
            (json!({"timeout": "secret"}), "SubmitJobRequest.timeout is no JobTimeout"),
            (json!({"tags": {"a": 1}}), "SubmitJobRequest.tags is no string"),
            (json!({"tags": ["secret"]}), "SubmitJobRequest.tags is no map"),
            (json!({"dependsOn": "secret"}), "SubmitJobRequest.dependsOn is no list"),
            (
                json!({"containerOverrides": {"environment": [{"name": "A", "valeu": "secret"}]}}),
                "KeyValuePair has no field valeu: did you mean value?",
            ),
        ];
        for (job, said) in cases {
            assert_eq!(of_job(&job), Some(said.to_owned()));
        }
    }
}
