//! From text to a checked tree: names are known, member access is lenient.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::common::types::CelString;
use cel::{Context, ParseErrors};

use super::dialect::{Dialect, FUNCTIONS, MACROS, METHODS, TYPES, constant, constants, nearest};
use super::function::{self, GET};
use super::{Compiled, ExprError, limit, stack};

/// Parses and checks `source`.
pub(super) fn compile(source: &str, dialect: &Dialect) -> Result<Compiled, ExprError> {
    let fail = |fault: Fault| ExprError { expression: source.to_owned(), offset: fault.offset, message: fault.message, hint: fault.hint };
    limit::check(source).map_err(|(message, offset)| fail(Fault { message, offset, hint: None }))?;
    if source.trim().is_empty() {
        return Err(fail(Fault { message: "empty; expected an expression".to_owned(), offset: Some(0), hint: None }));
    }
    let no_thread = || Err(Fault { message: "could not be compiled: no thread to do it on".to_owned(), offset: None, hint: None });
    stack::deep(|| checked(source, dialect)).unwrap_or_else(no_thread).map_err(fail)
}

fn checked(source: &str, dialect: &Dialect) -> Result<Compiled, Fault> {
    let program = function::env().compile(source).map_err(|e| syntax(source, &e))?;
    let mut tree = program.expression().clone();
    let mut check = Check { dialect, source, places: program.source_info(), loops: Vec::new(), roots: BTreeSet::new() };
    let depth = check.visit(&mut tree)?;
    Ok(Compiled { source: source.to_owned(), roots: check.roots.into_iter().collect(), tree, depth })
}

struct Check<'c> {
    dialect: &'c Dialect,
    source: &'c str,
    places: &'c SourceInfo,
    loops: Vec<String>,
    roots: BTreeSet<String>,
}

struct Fault {
    message: String,
    offset: Option<usize>,
    hint: Option<String>,
}

impl Check<'_> {
    /// Checks names, and turns `x.y`, `x[y]` and `has(x.y)` into lenient access. Gives the levels of the tree, which [`limit`]
    /// bounds.
    fn visit(&mut self, node: &mut IdedExpr) -> Result<usize, Fault> {
        let id = node.id;
        let below = match &mut node.expr {
            Expr::Unspecified => return Err(self.fault(id, "", "not an expression".to_owned(), None)),
            Expr::Literal(_) => 0,
            Expr::Ident(name) => self.variable(id, name)?,
            Expr::List(list) => self.deepest(list.elements.iter_mut())?,
            Expr::Map(map) => map.entries.iter_mut().try_fold(0, |deepest, entry| self.entry(entry).map(|d| d.max(deepest)))?,
            Expr::Struct(s) => {
                let message = format!("`{} {{...}}` is not offered", s.type_name);
                return Err(self.fault(id, "", message, Some("write a map: {'key': value}".to_owned())));
            }
            Expr::Select(select) => {
                self.attribute(id, &select.operand, &select.field)?;
                let below = self.visit(&mut select.operand)?;
                let key = IdedExpr { id, expr: Expr::Literal(LiteralValue::String(CelString::from(std::mem::take(&mut select.field)))) };
                let get = call(GET, vec![std::mem::take(&mut *select.operand), key]);
                if select.test {
                    let null = IdedExpr { id, expr: Expr::Literal(LiteralValue::Null) };
                    node.expr = call(operators::NOT_EQUALS, vec![IdedExpr { id, expr: get }, null]);
                    below + 1
                } else {
                    node.expr = get;
                    below
                }
            }
            Expr::Call(c) => {
                if c.func_name == operators::INDEX {
                    if let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }] = c.args.as_slice() {
                        self.attribute(id, operand, key.inner())?;
                    }
                    GET.clone_into(&mut c.func_name);
                } else {
                    self.function(id, c)?;
                }
                self.deepest(c.target.as_deref_mut().into_iter().chain(c.args.iter_mut()))?
            }
            Expr::Comprehension(c) => {
                let outside = self.deepest([&mut c.iter_range, &mut c.accu_init].into_iter())?;
                let outer = self.loops.len();
                self.loops.push(c.iter_var.clone());
                self.loops.extend(c.iter_var2.clone());
                let inside = self.deepest([&mut c.loop_cond, &mut c.loop_step, &mut c.result].into_iter())?;
                self.loops.truncate(outer);
                outside.max(inside)
            }
        };
        Ok(below + 1)
    }

    fn deepest<'n>(&mut self, nodes: impl Iterator<Item = &'n mut IdedExpr>) -> Result<usize, Fault> {
        let mut deepest = 0;
        for node in nodes {
            deepest = deepest.max(self.visit(node)?);
        }
        Ok(deepest)
    }

    fn entry(&mut self, entry: &mut IdedEntryExpr) -> Result<usize, Fault> {
        match &mut entry.expr {
            EntryExpr::StructField(field) => self.visit(&mut field.value),
            EntryExpr::MapEntry(entry) => self.deepest([&mut entry.key, &mut entry.value].into_iter()),
        }
    }

    fn variable(&mut self, id: u64, name: &str) -> Result<usize, Fault> {
        if name.starts_with('@') || self.is_loop(name) || constant(name).is_some() {
            return Ok(0);
        }
        if self.dialect.roots().iter().any(|root| root == name) {
            self.roots.insert(name.to_owned());
            return Ok(0);
        }
        if TYPES.contains(&name) {
            return Ok(0);
        }
        let known: Vec<&str> = self.dialect.roots().iter().map(String::as_str).collect();
        let all = known.iter().copied().chain(constants()).chain(self.loops.iter().map(String::as_str));
        let hint = suggest(nearest(name, all)).unwrap_or_else(|| format!("known are {}", known.join(", ")));
        Err(self.fault(id, name, format!("unknown variable `{name}`"), Some(hint)))
    }

    fn attribute(&self, id: u64, operand: &IdedExpr, name: &str) -> Result<(), Fault> {
        let Expr::Ident(root) = &operand.expr else { return Ok(()) };
        match self.dialect.attributes(root) {
            Some(known) if !self.is_loop(root) && !known.contains(&name) => {
                let hint = suggest(nearest(name, known.iter().copied())).unwrap_or_else(|| format!("known are {}", known.join(", ")));
                Err(self.fault(id, name, format!("unknown attribute `{name}` of `{root}`"), Some(hint)))
            }
            _ => Ok(()),
        }
    }

    fn function(&self, id: u64, c: &CallExpr) -> Result<(), Fault> {
        let name = c.func_name.as_str();
        let count = c.args.len();
        if c.target.is_none() && (name.starts_with(['_', '@', '!', '-']) && !name.starts_with("__")) {
            return Ok(());
        }
        if name.starts_with('@') {
            return Ok(());
        }
        let arguments = |n: usize| if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") };
        let takes = if c.target.is_some() {
            METHODS.iter().find(|(n, ..)| *n == name).map(|(_, min, max)| (*min, *max))
        } else {
            FUNCTIONS.iter().find(|(n, _)| *n == name).map(|(_, n)| (*n, *n))
        };
        match takes {
            Some((min, max)) if (min..=max).contains(&count) => self.pattern(id, c),
            Some((min, max)) => {
                let wanted = if min == max { arguments(min) } else { format!("{min} to {}", arguments(max)) };
                Err(self.fault(id, name, format!("`{name}()` takes {wanted}, not {count}"), None))
            }
            None => {
                if let Some((_, form)) = MACROS.iter().find(|(n, _)| *n == name) {
                    return Err(self.fault(id, name, format!("`{name}` is not used like this"), Some(format!("write {form}"))));
                }
                let all = FUNCTIONS.iter().map(|(n, _)| *n).chain(METHODS.iter().map(|(n, ..)| *n)).chain(MACROS.iter().map(|(n, _)| *n));
                let form = match (c.target.is_some(), nearest(name, all)) {
                    (true, near) if near == Some(name) => Some(format!("write {name}(x)")),
                    (false, near) if near == Some(name) => Some(format!("write x.{name}()")),
                    (_, near) => suggest(near),
                };
                Err(self.fault(id, name, format!("unknown function `{name}`"), form))
            }
        }
    }

    /// A literal regular expression is tried now, so that a typo is a load error and not a rule that never matches.
    fn pattern(&self, id: u64, c: &CallExpr) -> Result<(), Fault> {
        let (true, Some(pattern)) = (c.func_name == "matches", c.args.last()) else { return Ok(()) };
        if !matches!(pattern.expr, Expr::Literal(_)) {
            return Ok(());
        }
        let empty = IdedExpr { id, expr: Expr::Literal(LiteralValue::String(CelString::from(String::new()))) };
        let probe = IdedExpr { id, expr: call("matches", vec![empty, pattern.clone()]) };
        match cel::Value::resolve_val(&probe, &Context::with_env(function::env())) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.fault(pattern.id, "", "not a regular expression".to_owned(), None)),
        }
    }

    fn is_loop(&self, name: &str) -> bool {
        self.loops.iter().any(|l| l == name)
    }

    /// A fault at a node. The parser places calls at their bracket and members at their dot, so `name` is looked for around it.
    fn fault(&self, id: u64, name: &str, message: String, hint: Option<String>) -> Fault {
        let place = self.places.offset_for(id).map(|(start, _)| start as usize);
        let offset = place.map(|at| {
            let before = self.source.get(..at).unwrap_or_default().trim_end();
            let after = self.source.get(at..).unwrap_or_default().find(name).unwrap_or_default();
            if !name.is_empty() && before.ends_with(name) { before.len() - name.len() } else { at + after }
        });
        Fault { message, offset, hint }
    }
}

fn call(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args })
}

fn suggest(near: Option<&str>) -> Option<String> {
    near.map(|name| format!("did you mean `{name}`?"))
}

/// The parser's first complaint, with its place. The place is line and column, the column 1-based and in characters.
fn syntax(source: &str, errors: &ParseErrors) -> Fault {
    let Some(first) = errors.errors.first() else {
        return Fault { message: "not an expression".to_owned(), offset: None, hint: None };
    };
    let (line, column) = first.pos;
    let text = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.starts_with("Incomplete ") {
        "incomplete expression".clone_into(&mut text);
    }
    // ANTLR lists every token it would have taken, which helps nobody.
    if let Some(at) = text.find(" expecting {") {
        text.truncate(at);
    }
    let (line, column) = (usize::try_from(line).unwrap_or(1).max(1), usize::try_from(column).unwrap_or(1).max(1));
    let start: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(start..).unwrap_or_default();
    let offset = start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at);
    let message = format!("syntax error at {line}:{column}: {text}");
    Fault { message, offset: Some(offset), hint: None }
}
