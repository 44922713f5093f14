//! Entity-group transactions: one multipart request whose parts take effect together or not at all
//! (<https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions>).

use std::fmt;

use stanch_core::port::StoreError;

use super::table::{self, Op, TRANSACTION};

/// The most bytes of one transaction.
const MOST: usize = 4 * 1024 * 1024;

/// The boundary and the body. `base` is the table's address.
pub(crate) fn write(base: &str, ops: &[Op]) -> Result<(String, Vec<u8>), StoreError> {
    let name = table::token()?;
    let (batch, set) = (format!("batch_{name}"), format!("changeset_{name}"));
    let mut body = format!("--{batch}\r\nContent-Type: multipart/mixed; boundary={set}\r\n\r\n").into_bytes();
    for op in ops {
        let json = match op {
            Op::Insert(entity) | Op::Replace(entity, _) => table::bytes(entity)?,
            Op::Delete(..) => Vec::new(),
        };
        let request = match op {
            Op::Insert(_) => format!("POST {base} HTTP/1.1\r\nPrefer: return-no-content\r\n"),
            Op::Replace(entity, etag) => {
                format!("PUT {base}{} HTTP/1.1\r\nIf-Match: {etag}\r\n", keys(entity.partition(), entity.row()))
            }
            Op::Delete(partition, row) => format!("DELETE {base}{} HTTP/1.1\r\nIf-Match: *\r\n", keys(partition, row)),
        };
        let kind = if json.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!(
            "--{set}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             {request}{kind}Accept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&json);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{set}--\r\n--{batch}--\r\n").as_bytes());
    if ops.len() > TRANSACTION || body.len() > MOST {
        let reason =
            format!("{} rows of {} bytes are more than one transaction takes ({TRANSACTION} rows, {MOST} bytes)", ops.len(), body.len());
        return Err(StoreError::Unavailable { reason });
    }
    Ok((batch, body))
}

/// Why no part of a transaction took effect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    code: String,
}

impl Refusal {
    /// Whether a row was there, was not there, or had changed.
    pub(crate) fn is_condition(&self) -> bool {
        match self.status {
            409 => self.code == "EntityAlreadyExists",
            404 => matches!(self.code.as_str(), "ResourceNotFound" | "EntityNotFound"),
            status => status == 412,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)
    }
}

/// Reads an answer: the status lines of its parts, of which a refused transaction has one.
pub(crate) fn read(body: &[u8]) -> Result<(), Refusal> {
    let text = String::from_utf8_lossy(body);
    let mut any = false;
    for line in text.lines() {
        let Some(rest) = line.trim_start().strip_prefix("HTTP/1.1 ") else { continue };
        let status: u16 = rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        if !(200..300).contains(&status) {
            let code = text.split_once("\"code\":").and_then(|(_, rest)| rest.split('"').nth(1)).unwrap_or("no code");
            return Err(Refusal { status, code: code.to_owned() });
        }
        any = true;
    }
    if any { Ok(()) } else { Err(Refusal { status: 0, code: "the answer has no parts".to_owned() }) }
}

/// `(PartitionKey='…',RowKey='…')`; our keys hold nothing that would have to be encoded.
pub(crate) fn keys(partition: &str, row: &str) -> String {
    format!("(PartitionKey='{partition}',RowKey='{row}')")
}

#[cfg(test)]
mod tests {
    use super::super::entity::Entity;
    use super::*;

    #[test]
    fn a_refusal_is_found_between_the_parts() {
        let parts = |inner: &str| format!("--b\r\nContent-Type: application/http\r\n\r\n{inner}\r\n--b--\r\n").into_bytes();
        assert_eq!(read(&parts("HTTP/1.1 204 No Content\r\n\r\n--c\r\n\r\nHTTP/1.1 204 No Content\r\n")), Ok(()));
        let error = r#"{"odata.error":{"code":"UpdateConditionNotSatisfied","message":{"value":"0:The update condition"}}}"#;
        let refusal = read(&parts(&format!("HTTP/1.1 412 Precondition Failed\r\n\r\n{error}"))).unwrap_err();
        assert_eq!(refusal.to_string(), "412 UpdateConditionNotSatisfied");
        assert!(refusal.is_condition());
        assert!(!read(&parts("HTTP/1.1 400 Bad Request\r\n\r\n{}")).unwrap_err().is_condition());
        assert!(!read(b"").unwrap_err().is_condition());
    }

    #[test]
    fn a_transaction_above_the_limits_is_not_sent() {
        let op = |n: usize| Op::Insert(Entity::new("p", &n.to_string()));
        let many: Vec<Op> = (0..=TRANSACTION).map(op).collect();
        assert!(write("http://x/t", &many).unwrap_err().to_string().contains("101 rows"));
        assert!(write("http://x/t", &many[1..]).is_ok());
    }
}
