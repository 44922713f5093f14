//! Table Storage, as much of it as the store needs
//! (<https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api>).
//!
//! A conditional write carries a fresh token in the property `w`. When its answer is lost, the row itself tells whether it was
//! this write that took effect; nobody is told "somebody else was first" because of their own write.

use aes_gcm::aead::Generate;
use reqwest::Method;
use serde_json::{Map, Value, json};
use stanch_core::port::StoreError;

use super::batch;
use super::client::{Answer, Call, Client, Service, unavailable};
use super::entity::Entity;

const JSON: &str = "application/json";
/// With types of numbers and the ETag, which a row that is written back needs.
const ACCEPT: &str = "application/json;odata=minimalmetadata";
/// The most rows of one transaction.
pub(crate) const TRANSACTION: usize = 100;

/// One table of an account.
pub(crate) struct Table<'a> {
    pub(crate) client: &'a Client,
    pub(crate) name: &'a str,
}

/// A part of a transaction; all parts share a partition.
pub(crate) enum Op {
    /// The row must not be there.
    Insert(Entity),
    /// The row must still have this ETag.
    Replace(Entity, String),
    /// The row must be there.
    Delete(String, String),
}

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every part took effect.
    Done,
    /// None did: a row was there, was not there, or had changed. If an earlier attempt lost its answer, this may be about its effect.
    Refused,
}

/// Some rows of a query, and where it goes on.
pub(crate) struct Page {
    pub(crate) rows: Vec<Entity>,
    pub(crate) next: Option<(String, Option<String>)>,
}

impl Table<'_> {
    /// Creates the table unless it is there.
    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        let body = json!({"TableName": self.name}).to_string().into_bytes();
        let call = Self::call(Method::POST, "/Tables".to_owned()).body(JSON, body);
        let answer = self.client.send(&call).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(()),
            409 if answer.code() == "TableAlreadyExists" => Ok(()),
            _ => Err(self.client.fault(&format!("create table `{}`", self.name), &answer)),
        }
    }

    /// A row and its ETag; with `select`, only these properties of it.
    pub(crate) async fn get(&self, partition: &str, row: &str, select: &[&str]) -> Result<Option<(Entity, String)>, StoreError> {
        let mut call = Self::call(Method::GET, self.address(partition, row));
        if !select.is_empty() {
            call = call.query("$select", select.join(","));
        }
        let answer = self.client.send(&call).await?;
        if answer.status.is_success() {
            let etag = answer.header("etag").unwrap_or_default().to_owned();
            return Ok(Some((self.read(&answer)?, etag)));
        }
        if is_absent(&answer) { Ok(None) } else { Err(self.client.fault("read a row", &answer)) }
    }

    /// Adds a row. `false`: there is one already.
    pub(crate) async fn insert(&self, entity: Entity) -> Result<bool, StoreError> {
        let (entity, token) = marked(entity)?;
        let call = Self::call(Method::POST, format!("/{}", self.name)).header("prefer", "return-no-content");
        let answer = self.client.send(&call.body(JSON, bytes(&entity)?)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(true),
            409 if answer.code() == "EntityAlreadyExists" => {
                if answer.repeated {
                    self.is_marked(&entity, &token).await
                } else {
                    Ok(false)
                }
            }
            _ => Err(self.client.fault("add a row", &answer)),
        }
    }

    /// Writes a row whole, whatever was there.
    pub(crate) async fn put(&self, entity: &Entity) -> Result<(), StoreError> {
        let call = Self::call(Method::PUT, self.address(entity.partition(), entity.row())).body(JSON, bytes(entity)?);
        let answer = self.client.send(&call).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.client.fault("write a row", &answer)) }
    }

    /// Writes a row whole if it still has this ETag. `false`: it is gone or another.
    pub(crate) async fn replace(&self, entity: Entity, etag: &str) -> Result<bool, StoreError> {
        let (entity, token) = marked(entity)?;
        let call = Self::call(Method::PUT, self.address(entity.partition(), entity.row())).header("if-match", etag);
        let answer = self.client.send(&call.body(JSON, bytes(&entity)?)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(true),
            404 if is_absent(&answer) => Ok(false),
            412 => {
                if answer.repeated {
                    self.is_marked(&entity, &token).await
                } else {
                    Ok(false)
                }
            }
            _ => Err(self.client.fault("change a row", &answer)),
        }
    }

    /// Removes a row if it still has this ETag (`*`: any). `false`: it is gone or another. When an earlier attempt lost its
    /// answer and the row is gone, it was removed.
    pub(crate) async fn delete(&self, partition: &str, row: &str, etag: &str) -> Result<bool, StoreError> {
        let call = Self::call(Method::DELETE, self.address(partition, row)).header("if-match", etag);
        let answer = self.client.send(&call).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(true),
            404 if is_absent(&answer) => Ok(answer.repeated),
            412 => Ok(false),
            _ => Err(self.client.fault("remove a row", &answer)),
        }
    }

    /// One page of the rows a filter lets through, in the order of partition and row.
    pub(crate) async fn page(
        &self,
        filter: &str,
        select: &[&str],
        from: Option<(String, Option<String>)>,
        most: usize,
    ) -> Result<Page, StoreError> {
        let mut call = Self::call(Method::GET, format!("/{}()", self.name)).query("$filter", filter);
        call = call.query("$top", most.clamp(1, 1000).to_string());
        if !select.is_empty() {
            call = call.query("$select", select.join(","));
        }
        if let Some((partition, row)) = from {
            call = call.query("NextPartitionKey", partition);
            if let Some(row) = row {
                call = call.query("NextRowKey", row);
            }
        }
        let answer = self.client.send(&call).await?;
        if !answer.status.is_success() {
            return Err(self.client.fault("query rows", &answer));
        }
        #[derive(serde::Deserialize)]
        struct Rows {
            value: Vec<Map<String, Value>>,
        }
        let read: Rows = serde_json::from_slice(&answer.body).map_err(|e| self.unreadable(&e))?;
        let header = |name: &str| answer.header(name).map(str::to_owned);
        let next = header("x-ms-continuation-nextpartitionkey").map(|p| (p, header("x-ms-continuation-nextrowkey")));
        Ok(Page { rows: read.value.into_iter().map(Entity).collect(), next })
    }

    /// Every row a filter lets through. A page may be short, even empty, and still not be the last.
    pub(crate) async fn all(&self, filter: &str, select: &[&str]) -> Result<Vec<Entity>, StoreError> {
        let (mut rows, mut next) = (Vec::new(), None);
        loop {
            let page = self.page(filter, select, next, 1000).await?;
            rows.extend(page.rows);
            next = page.next;
            if next.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Carries out all parts or none. Parts are at most [`TRANSACTION`] and share a partition.
    pub(crate) async fn transaction(&self, ops: &[Op]) -> Result<Outcome, StoreError> {
        let base = format!("{}/{}", self.client.account.table.as_str().trim_end_matches('/'), self.name);
        let (boundary, body) = batch::write(&base, ops)?;
        let call = Self::call(Method::POST, "/$batch".to_owned()).body(&format!("multipart/mixed; boundary={boundary}"), body);
        let answer = self.client.send(&call).await?;
        if !answer.status.is_success() {
            return Err(self.client.fault("change rows together", &answer));
        }
        match batch::read(&answer.body) {
            Ok(()) => Ok(Outcome::Done),
            Err(refusal) if refusal.is_condition() => Ok(Outcome::Refused),
            Err(refusal) => Err(unavailable(format!("cannot change rows together in table `{}`: {refusal}", self.name))),
        }
    }

    async fn is_marked(&self, entity: &Entity, token: &str) -> Result<bool, StoreError> {
        let found = self.get(entity.partition(), entity.row(), &["w"]).await?;
        Ok(found.is_some_and(|(row, _)| row.get("w") == Some(token)))
    }

    fn call(method: Method, path: String) -> Call {
        Call::new(Service::Table, method, path).header("accept", ACCEPT).header("dataserviceversion", "3.0")
    }

    fn address(&self, partition: &str, row: &str) -> String {
        format!("/{}{}", self.name, batch::keys(partition, row))
    }

    fn read(&self, answer: &Answer) -> Result<Entity, StoreError> {
        serde_json::from_slice(&answer.body).map(Entity).map_err(|e| self.unreadable(&e))
    }

    fn unreadable(&self, error: &serde_json::Error) -> StoreError {
        crate::row::unreadable(format!("answer about table `{}`", self.name), error)
    }
}

/// A name nobody else has given.
pub(crate) fn token() -> Result<String, StoreError> {
    let random: [u8; 16] = Generate::try_generate().map_err(|e| unavailable(format!("the system gives no random numbers: {e}")))?;
    Ok(uuid::Uuid::from_bytes(random).simple().to_string())
}

/// The row as it is written: without what the service added when it was read.
pub(crate) fn bytes(entity: &Entity) -> Result<Vec<u8>, StoreError> {
    let own = entity.0.iter().filter(|(name, _)| !name.starts_with("odata.") && !name.starts_with("Timestamp"));
    let own: std::collections::BTreeMap<&String, &Value> = own.collect();
    serde_json::to_vec(&own).map_err(|e| unavailable(format!("a row cannot be written as JSON: {e}")))
}

fn marked(entity: Entity) -> Result<(Entity, String), StoreError> {
    let token = token()?;
    Ok((entity.text("w", &token), token))
}

/// The row is not there; that the table is not there is another thing.
fn is_absent(answer: &Answer) -> bool {
    answer.status.as_u16() == 404 && matches!(answer.code().as_str(), "ResourceNotFound" | "EntityNotFound")
}
