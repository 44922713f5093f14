//! Blobs, as much of them as the store needs: put, get, head, delete, list.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Deserialize;
use stanch_core::port::StoreError;

use super::client::{Answer, Call, Client, Service};

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/');

/// One container of an account.
pub(crate) struct Container<'a> {
    pub(crate) client: &'a Client,
    pub(crate) name: &'a str,
}

/// A blob of a listing.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) etag: String,
    /// When it was written last, milliseconds since the epoch.
    pub(crate) modified: i64,
}

impl Container<'_> {
    /// Creates the container unless it is there.
    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        let call = Call::new(Service::Blob, Method::PUT, format!("/{}", self.name)).query("restype", "container");
        let answer = self.client.send(&call).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(()),
            409 if answer.code() == "ContainerAlreadyExists" => Ok(()),
            _ => Err(self.client.fault(&format!("create container `{}`", self.name), &answer)),
        }
    }

    /// Writes a blob, replacing one of that name.
    pub(crate) async fn put(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let answer = self.client.send(&self.writing(name, text)).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.fault("write", name, &answer)) }
    }

    /// Writes a blob unless there is one of that name. `false`: there is.
    pub(crate) async fn put_new(&self, name: &str, text: &str) -> Result<bool, StoreError> {
        let answer = self.client.send(&self.writing(name, text).header("if-none-match", "*")).await?;
        match (answer.status.as_u16(), answer.code().as_str()) {
            (200..=299, _) => Ok(true),
            (409, "BlobAlreadyExists" | "BlobImmutableDueToPolicy") | (412, _) => {
                // An attempt whose answer was lost may have written it.
                if answer.repeated { Ok(self.get(name).await?.as_deref() == Some(text)) } else { Ok(false) }
            }
            _ => Err(self.fault("write", name, &answer)),
        }
    }

    /// A blob's text.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<String>, StoreError> {
        let answer = self.client.send(&self.call(Method::GET, name)).await?;
        match answer.status.as_u16() {
            200..=299 => {
                let unreadable = |e| crate::row::unreadable(format!("blob `{}/{name}`", self.name), e);
                String::from_utf8(answer.body).map(Some).map_err(unreadable)
            }
            404 if answer.code() == "BlobNotFound" => Ok(None),
            _ => Err(self.fault("read", name, &answer)),
        }
    }

    /// A blob's ETag.
    pub(crate) async fn etag(&self, name: &str) -> Result<Option<String>, StoreError> {
        let answer = self.client.send(&self.call(Method::HEAD, name)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(answer.header("etag").map(str::to_owned)),
            404 => Ok(None),
            _ => Err(self.fault("read", name, &answer)),
        }
    }

    /// Removes a blob if it still has this ETag (`*`: any).
    pub(crate) async fn delete(&self, name: &str, etag: &str) -> Result<bool, StoreError> {
        let answer = self.client.send(&self.call(Method::DELETE, name).header("if-match", etag)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(true),
            404 => Ok(answer.repeated),
            412 => Ok(false),
            _ => Err(self.fault("remove", name, &answer)),
        }
    }

    /// All blobs whose names begin so, by name.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let (mut all, mut marker) = (Vec::new(), String::new());
        loop {
            let mut call = Call::new(Service::Blob, Method::GET, format!("/{}", self.name))
                .query("restype", "container")
                .query("comp", "list")
                .query("prefix", prefix);
            if !marker.is_empty() {
                call = call.query("marker", marker);
            }
            let answer = self.client.send(&call).await?;
            if !answer.status.is_success() {
                return Err(self.client.fault(&format!("list container `{}`", self.name), &answer));
            }
            let unreadable = |e: String| crate::row::unreadable(format!("list of container `{}`", self.name), e);
            let text = String::from_utf8_lossy(&answer.body);
            let page: Page = quick_xml::de::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| unreadable(e.to_string()))?;
            for blob in page.blobs.blob {
                let time = jiff::fmt::rfc2822::parse(&blob.properties.modified).map_err(|e| unreadable(e.to_string()))?;
                all.push(Listed { name: blob.name, etag: blob.properties.etag, modified: time.timestamp().as_millisecond() });
            }
            marker = page.next;
            if marker.is_empty() {
                return Ok(all);
            }
        }
    }

    fn call(&self, method: Method, name: &str) -> Call {
        Call::new(Service::Blob, method, format!("/{}/{}", self.name, utf8_percent_encode(name, PATH)))
    }

    fn writing(&self, name: &str, text: &str) -> Call {
        self.call(Method::PUT, name).header("x-ms-blob-type", "BlockBlob").body("application/octet-stream", text.as_bytes().to_vec())
    }

    fn fault(&self, what: &str, name: &str, answer: &Answer) -> StoreError {
        self.client.fault(&format!("{what} blob `{}/{name}`", self.name), answer)
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "Blobs", default)]
    blobs: Blobs,
    #[serde(rename = "NextMarker", default)]
    next: String,
}

#[derive(Deserialize, Default)]
struct Blobs {
    #[serde(rename = "Blob", default)]
    blob: Vec<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Properties")]
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(rename = "Last-Modified")]
    modified: String,
    #[serde(rename = "Etag")]
    etag: String,
}
