//! The environment programs run in: CEL's standard library, its string and list extensions, and our own functions.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelList, CelString, DYN_TYPE, Kind, LIST_TYPE, NULL_TYPE, STRING_TYPE};
use cel::common::value::{CowVal, Val};
use cel::objects::ValueType;
use cel::{DeclarationError, Env, ExecutionError, extensions};

use super::value::{null, owned};

/// What `x.y` and `x[y]` are compiled to. No program can spell it.
pub(super) const GET: &str = "@get";

/// The one environment. A declaration that failed would leave its function out, and every program calling it fails closed.
pub(super) fn env() -> Arc<Env> {
    static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let mut env = Env::stdlib().with_optional_support(false);
        declare(&mut env).ok();
        Arc::new(env)
    });
    Arc::clone(&ENV)
}

/// cel's error in our words: operators and types, no values.
pub(super) fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(e) => {
            let types: Vec<&str> = e.argument_types().iter().map(|t| plain_type(t)).collect();
            let name = plain_operator(e.function());
            match (e.is_member_function(), types.split_first()) {
                (true, Some((on, []))) => format!("`{name}()` cannot be called on {on}"),
                (true, Some((on, with))) => format!("`{name}()` cannot be called on {on} with {}", with.join(", ")),
                _ => format!("`{name}` cannot be applied to {}", types.join(" and ")),
            }
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("`{}` cannot be applied to {} and {}", plain_operator(operator), value_type(left), value_type(right))
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} cannot be compared with {}", value_type(left), value_type(right))
        }
        ExecutionError::UndeclaredReference(name) => format!("`{name}` has no value here"),
        ExecutionError::UnexpectedType { got, want } => format!("expected {}, got {}", plain_type(want), plain_type(got)),
        ExecutionError::FunctionError { function, message } => format!("`{function}()`: {}", message.lines().next().unwrap_or("failed")),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, ..) => format!("`{}` overflows 64 bits", plain_operator(operator)),
        ExecutionError::DuplicateKey(_) => "a map names one key twice".to_owned(),
        ExecutionError::UnsupportedKeyType(value) => format!("{} cannot be a map key", value_type(value)),
        _ => "the evaluation failed".to_owned(),
    }
}

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(GET, "get", vec![DYN_TYPE, DYN_TYPE], get)?;
    env.add_overload("cidr_is_world", "cidr_is_world_string", vec![STRING_TYPE], cidr_is_world)?;
    // Clouds leave out what does not apply (an IPv6 rule has no IPv4 range), and what is not there is not open.
    env.add_overload("cidr_is_world", "cidr_is_world_null", vec![NULL_TYPE], cidr_is_world)?;
    env.add_overload("json", "json_string", vec![STRING_TYPE], json)?;
    env.add_overload("json", "json_null", vec![NULL_TYPE], json)?;
    env.add_overload("without", "without_list_list", vec![LIST_TYPE, LIST_TYPE], without)?;
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::lists)
}

/// Member access and indexing that give null for what is absent.
fn get<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [container, key] = two("[]", args)?;
    let clash = || ExecutionError::no_such_overload("[]", vec![container.get_type().name().into(), key.get_type().name().into()]);
    let found = match &container {
        value if value.get_type().kind() == Kind::NullType => return Ok(CowVal::Owned(null())),
        CowVal::Borrowed(value) => value.as_indexer().ok_or_else(clash)?.get(key.as_ref()),
        CowVal::Owned(value) => value.as_indexer().ok_or_else(clash)?.get(key.as_ref()).map(|v| CowVal::Owned(v.into_owned())),
    };
    match found {
        Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_)) => Ok(CowVal::Owned(null())),
        Err(ExecutionError::UnexpectedType { .. } | ExecutionError::UnsupportedIndex(..)) => Err(clash()),
        found => found,
    }
}

/// Whether a CIDR range or one of the words clouds use for it is the whole internet.
fn cidr_is_world<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let arg = args.first().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let text = arg.downcast_ref::<CelString>().map(|s| s.inner().trim()).unwrap_or_default();
    let word = ["*", "internet", "any"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let range = text
        .split_once('/')
        .is_some_and(|(address, prefix)| address.parse::<IpAddr>().is_ok() && prefix.parse::<u8>().is_ok_and(|bits| bits == 0));
    Ok(CowVal::owned(CelBool::from(word || range)))
}

/// The value a JSON text stands for: AWS answers policies as text. No text is no value.
fn json<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let arg = args.first().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let Some(text) = arg.downcast_ref::<CelString>() else { return Ok(CowVal::Owned(null())) };
    serde_json::from_str(text.inner())
        .map(|value| CowVal::Owned(owned(value)))
        .map_err(|_| ExecutionError::function_error("json", "the text is no JSON"))
}

/// The first list's elements that equal none of the second's, in order.
fn without<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [list, removed] = two("without", args)?;
    let missing = || ExecutionError::no_such_overload("without", vec![list.get_type().name().into(), removed.get_type().name().into()]);
    let removed = removed.as_container().ok_or_else(missing)?;
    let mut items = list.as_iterable().ok_or_else(missing)?.iter();
    let mut kept: Vec<Box<dyn Val + 'v>> = Vec::new();
    while let Some(item) = items.next() {
        if !removed.contains(item)? {
            kept.push(item.clone_as_boxed());
        }
    }
    Ok(CowVal::owned(CelList::from(kept)))
}

fn two<'b, 'v>(name: &str, args: Vec<CowVal<'b, 'v>>) -> Result<[CowVal<'b, 'v>; 2], ExecutionError> {
    <[CowVal<'b, 'v>; 2]>::try_from(args).map_err(|_| ExecutionError::function_error(name, "takes two arguments"))
}

fn plain_type(name: &str) -> &str {
    match name {
        "null_type" => "null",
        "string" => "text",
        "double" => "number",
        "iterable" => "a list",
        other => other,
    }
}

fn value_type(value: &cel::Value) -> &'static str {
    match value.type_of() {
        ValueType::Null => "null",
        ValueType::Bool => "bool",
        ValueType::Int => "int",
        ValueType::UInt => "uint",
        ValueType::Float => "number",
        ValueType::String => "text",
        ValueType::List => "list",
        ValueType::Map => "map",
        _ => "this type",
    }
}

fn plain_operator(name: &str) -> &str {
    match name {
        "add" => "+",
        "sub" | "-_" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        "@in" => "in",
        "!_" => "!",
        other => other.trim_matches('_'),
    }
}
