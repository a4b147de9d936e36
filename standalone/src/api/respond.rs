//! Answers as HTTP: JSON, YAML or a table, with warnings and status codes.

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use std::{collections::BTreeMap, sync::Arc};

use super::{
    core::Core,
    kinds::Kind,
    params::Params,
    status_error::{Result, StatusError},
    store::Object,
    table::{self, IncludeObject},
};

/// How the client wants objects shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Table(IncludeObject),
    /// Metadata only.
    Partial,
}

impl Format {
    /// The first media type of the Accept header that can be served.
    pub(crate) fn negotiate(accept: &str, params: &Params) -> Result<Self> {
        if accept.trim().is_empty() {
            return Ok(Self::Json);
        }
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<&str> = parts.collect();
            let shape = parameters.iter().find_map(|one| one.strip_prefix("as="));
            match (media, shape) {
                ("application/json" | "*/*" | "application/*", None) => return Ok(Self::Json),
                ("application/yaml", None) => return Ok(Self::Yaml),
                ("application/json", Some("Table")) if parameters.contains(&"v=v1") => {
                    return IncludeObject::parse(params.text("includeObject"))
                        .map(Self::Table)
                        .ok_or_else(|| StatusError::bad_request("invalid includeObject"));
                }
                ("application/json", Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                    return Ok(Self::Partial);
                }
                _ => {}
            }
        }
        Err(StatusError::new(
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        ))
    }
}

/// A list as the store gave it.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) items: Vec<Arc<Object>>,
    pub(crate) version: u64,
    pub(crate) continue_token: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// What a verb answers with.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A stored object; its text is shared, not made again.
    Object(Arc<Object>),
    /// An object of the request's kind that is not stored, as in a dry run.
    Unstored(Value),
    /// Something else, shown as it is.
    Plain(Value),
    /// A Scale, which has columns of its own.
    Scale(Value),
    List(List),
    Stream(Body),
}

/// A reply with its code and warnings.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) code: u16,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn ok(reply: Reply) -> Self {
        Self { reply, code: 200, warnings: vec![] }
    }
}

/// Makes the HTTP response.
pub(crate) fn render(core: &Core, kind: &Kind, format: Format, answer: Answer) -> Response<Body> {
    let bytes = match answer.reply {
        Reply::Stream(body) => return response(answer.code, "application/json", body, &answer.warnings),
        Reply::Plain(value) => Bytes::from(value.to_string()),
        Reply::Scale(value) => Bytes::from(scale(core, format, value).to_string()),
        Reply::Object(object) => one(core, kind, format, &object.value, Some(&object.json)),
        Reply::Unstored(value) => one(core, kind, format, &value, None),
        Reply::List(list) => many(core, kind, format, &list),
    };
    if format == Format::Yaml {
        let text = serde_json::from_slice::<Value>(&bytes).ok().and_then(|v| serde_yaml::to_string(&v).ok());
        let body = Body::from(text.unwrap_or_default());
        return response(answer.code, "application/yaml", body, &answer.warnings);
    }
    response(answer.code, "application/json", Body::from(bytes), &answer.warnings)
}

fn one(core: &Core, kind: &Kind, format: Format, value: &Value, json: Option<&Bytes>) -> Bytes {
    let version = value.pointer("/metadata/resourceVersion").cloned().unwrap_or_else(|| json!(""));
    let metadata = json!({"resourceVersion": version});
    let shown = match format {
        Format::Table(include) => table::table(kind, std::iter::once(value), &metadata, include, core.now()),
        Format::Partial => partial(value),
        Format::Json | Format::Yaml => match (kind.view(value), json) {
            (Some(view), _) => view,
            (None, Some(json)) => return json.clone(),
            (None, None) => return Bytes::from(value.to_string()),
        },
    };
    Bytes::from(shown.to_string())
}

fn scale(core: &Core, format: Format, value: Value) -> Value {
    match format {
        Format::Table(include) => table::of_scale(&value, include, core.now()),
        Format::Partial => partial(&value),
        Format::Json | Format::Yaml => value,
    }
}

fn partial(value: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value.get("metadata")})
}

fn list_metadata(list: &List) -> Value {
    let mut metadata = json!({"resourceVersion": list.version.to_string()});
    if let (Some(token), Some(map)) = (&list.continue_token, metadata.as_object_mut()) {
        map.insert("continue".to_owned(), json!(token));
        if let Some(remaining) = list.remaining {
            map.insert("remainingItemCount".to_owned(), json!(remaining));
        }
    }
    metadata
}

fn many(core: &Core, kind: &Kind, format: Format, list: &List) -> Bytes {
    let mut metadata = list_metadata(list);
    if let Format::Table(include) = format {
        let values = list.items.iter().map(|item| &item.value);
        return Bytes::from(table::table(kind, values, &metadata, include, core.now()).to_string());
    }
    let (name, version) = if format == Format::Partial {
        ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        // Lists of custom kinds always say where they go on.
        if let (Some(_), Some(map)) = (kind.custom(), metadata.as_object_mut()) {
            map.entry("continue").or_insert_with(|| json!(""));
        }
        (kind.list_kind(), kind.api_version())
    };
    let size: usize = list.items.iter().map(|item| item.json.len() + 1).sum();
    let mut bytes = BytesMut::with_capacity(size + 256);
    let head =
        format!("{{\"kind\":\"{name}\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[");
    bytes.put_slice(head.as_bytes());
    for (index, item) in list.items.iter().enumerate() {
        if index > 0 {
            bytes.put_u8(b',');
        }
        match format {
            Format::Partial => bytes.put_slice(partial(&item.value).to_string().as_bytes()),
            _ if kind.custom().is_some() => bytes.put_slice(&item.json),
            _ => bytes.put_slice(untyped(kind, &item.value).as_bytes()),
        }
    }
    bytes.put_slice(b"]}");
    bytes.freeze()
}

/// An entry in a list of a built-in kind: the list alone says what it is.
fn untyped(kind: &Kind, value: &Value) -> String {
    let view = kind.view(value);
    let fields = view.as_ref().unwrap_or(value).as_object().into_iter().flatten();
    let kept: BTreeMap<&String, &Value> =
        fields.filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind")).collect();
    serde_json::to_string(&kept).unwrap_or_default()
}

/// A refusal as a response, in the form that the client accepts.
pub(crate) fn refuse_as(accept: &str, error: &StatusError) -> Response<Body> {
    if Format::negotiate(accept, &Params::default()).ok() == Some(Format::Yaml) && !error.is_plain() {
        let text = serde_yaml::to_string(&error.to_value()).unwrap_or_default();
        return response(error.code, "application/yaml", Body::from(text), &[]);
    }
    refuse(error)
}

/// A refusal as a response.
pub(crate) fn refuse(error: &StatusError) -> Response<Body> {
    if error.is_plain() {
        return response(error.code, "text/plain; charset=utf-8", Body::from(error.message.clone()), &[]);
    }
    response(error.code, "application/json", Body::from(error.to_value().to_string()), &[])
}

/// A JSON document as a response.
pub(crate) fn document(value: &Value) -> Response<Body> {
    response(200, "application/json", Body::from(value.to_string()), &[])
}

pub(crate) fn response(code: u16, media: &str, body: Body, warnings: &[String]) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_servable_media_type_wins() {
        let params = Params::default();
        let negotiate = |accept: &str| Format::negotiate(accept, &params).ok();
        assert_eq!(negotiate(""), Some(Format::Json));
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf,application/json"), Some(Format::Json));
        assert_eq!(
            negotiate("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Some(Format::Table(IncludeObject::Metadata))
        );
        assert_eq!(
            negotiate("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            Some(Format::Json)
        );
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf"), None);
    }
}
