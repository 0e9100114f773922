//! The JSON API for people, made of the description that programs read.

use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::routing::get;
use serde_json::{Map, Value};

use super::Layout;
use crate::error::Error;
use crate::rights::Visit;
use crate::routes::api;
use crate::state::Hub;

/// The route of the page.
pub(super) fn router() -> Router<Hub> {
    Router::new().route("/api", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "api.html")]
struct ApiPage {
    layout: Layout,
    about: String,
    groups: Vec<Group>,
    shapes: Vec<Shape>,
}

/// The calls about one thing.
struct Group {
    name: String,
    about: String,
    calls: Vec<Call>,
}

struct Call {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Vec<String>,
    parameters: Vec<Field>,
    body: Option<Form>,
    answers: Vec<Answer>,
}

struct Answer {
    status: String,
    about: String,
    form: Option<Form>,
}

struct Field {
    name: String,
    form: Form,
    is_required: bool,
    about: String,
}

/// What a value looks like.
struct Form {
    /// What stands before the name of a shape, or all of it when there is none.
    text: String,
    /// A shape of the page.
    shape: Option<String>,
}

/// A schema with a name.
struct Shape {
    name: String,
    about: String,
    form: Option<Form>,
    words: Vec<String>,
    fields: Vec<Field>,
}

async fn show(visit: Visit) -> Result<ApiPage, Error> {
    let api = serde_json::to_value(api::description()).map_err(anyhow::Error::from)?;
    let groups = list(&api["tags"]).iter().map(|tag| group(&api, tag));
    let shapes = entries(&api["components"]["schemas"]);
    Ok(ApiPage {
        layout: Layout::new(&visit, "api"),
        about: text(&api["info"]["description"]),
        groups: groups.collect(),
        shapes: shapes.map(|(name, schema)| shape(name, schema)).collect(),
    })
}

fn group(api: &Value, tag: &Value) -> Group {
    let mut calls = Vec::new();
    for (path, item) in entries(&api["paths"]) {
        for (method, operation) in entries(item) {
            if list(&operation["tags"]).contains(&tag["name"]) {
                calls.push(call(method, path, operation));
            }
        }
    }
    Group {
        name: text(&tag["name"]),
        about: text(&tag["description"]),
        calls,
    }
}

fn call(method: &str, path: &str, operation: &Value) -> Call {
    let about = text(&operation["description"]);
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let answers = entries(&operation["responses"]);
    Call {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        about: about.split("\n\n").map(str::to_owned).collect(),
        parameters: list(&operation["parameters"])
            .iter()
            .map(parameter)
            .collect(),
        body: body.is_object().then(|| form(body)),
        answers: answers
            .map(|(status, answer)| self::answer(status, answer))
            .collect(),
    }
}

fn parameter(parameter: &Value) -> Field {
    Field {
        name: text(&parameter["name"]),
        form: form(&parameter["schema"]),
        is_required: parameter["required"] == true,
        about: text(&parameter["description"]),
    }
}

fn answer(status: &str, answer: &Value) -> Answer {
    let content = entries(&answer["content"]).next();
    Answer {
        status: status.to_owned(),
        about: text(&answer["description"]),
        form: content.map(|(kind, content)| match kind {
            "application/json" | "application/problem+json" => form(&content["schema"]),
            kind => plain(kind),
        }),
    }
}

fn shape(name: &str, schema: &Value) -> Shape {
    let words = list(&schema["enum"]).iter().map(text).collect();
    let fields = fields(schema);
    let is_plain = fields.is_empty() && list(&schema["enum"]).is_empty();
    Shape {
        name: name.to_owned(),
        about: text(&schema["description"]),
        form: is_plain.then(|| form(schema)),
        words,
        fields,
    }
}

/// The fields of an object, with those of what it is put together from.
fn fields(schema: &Value) -> Vec<Field> {
    let required = list(&schema["required"]);
    let own = entries(&schema["properties"]).map(|(name, property)| Field {
        name: name.to_owned(),
        form: form(property),
        is_required: required.contains(&Value::from(name)),
        about: text(&property["description"]),
    });
    let mut fields: Vec<_> = own.collect();
    for kind in ["allOf", "oneOf"] {
        for part in list(&schema[kind]) {
            if part["$ref"].is_string() {
                fields.push(Field {
                    name: "…".to_owned(),
                    form: form(part),
                    is_required: kind == "allOf",
                    about: "Its fields are here too.".to_owned(),
                });
            }
            fields.extend(self::fields(part));
        }
    }
    fields
}

fn form(schema: &Value) -> Form {
    if let Some(name) = schema["$ref"].as_str() {
        return named("", name);
    }
    let alternatives = [list(&schema["oneOf"]), list(&schema["anyOf"])].concat();
    if let Some(of) = alternatives.iter().find(|one| one["$ref"].is_string()) {
        return named("optional ", of["$ref"].as_str().unwrap_or_default());
    }
    if schema["type"] == "array" {
        let of = form(&schema["items"]);
        return Form {
            text: format!("array of {}", of.text),
            shape: of.shape,
        };
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        return plain(pattern);
    }
    if let Some(word) = list(&schema["enum"]).first() {
        return plain(&format!("{:?}", text(word)));
    }
    plain(&type_of(schema))
}

/// The type and format of a plain value; null is told as `optional`.
fn type_of(schema: &Value) -> String {
    let several = list(&schema["type"]);
    let kind = several.iter().find(|kind| **kind != "null");
    let kind = text(kind.unwrap_or(&schema["type"]));
    let optional = if several.is_empty() { "" } else { "optional " };
    let kind = if kind.is_empty() { "any JSON" } else { &kind };
    match schema["format"].as_str() {
        Some(format) if kind == "string" => format!("{optional}{format}"),
        _ => format!("{optional}{kind}"),
    }
}

fn named(before: &str, reference: &str) -> Form {
    Form {
        text: before.to_owned(),
        shape: reference.rsplit('/').next().map(str::to_owned),
    }
}

fn plain(text: &str) -> Form {
    Form {
        text: text.to_owned(),
        shape: None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_object().into_iter().flat_map(Map::iter);
    entries.map(|(name, value)| (name.as_str(), value))
}
