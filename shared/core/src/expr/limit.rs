//! Size and nesting, measured before anything recursive sees the source.

/// The longest source, in bytes.
pub(super) const MAX_BYTES: usize = 4096;
/// The deepest nesting of brackets, the longest run of unary operators, and the most `? :` (they nest to the right).
pub(super) const MAX_DEPTH: usize = 32;
/// The longest chain of operators that each take the result of the one before (`a.b.c`, `a + b + c`).
pub(super) const MAX_CHAIN: usize = 200;

/// What is too much, and the byte it begins at.
pub(super) fn check(source: &str) -> Result<(), (String, Option<usize>)> {
    if source.len() > MAX_BYTES {
        return Err((format!("{} bytes long, and at most {MAX_BYTES} are accepted", source.len()), None));
    }
    let bytes = source.as_bytes();
    let mut depth = 0_usize;
    let mut unary = 0_usize;
    let mut ternaries = 0_usize;
    // Operators in each open bracket, outermost first: their sum bounds the depth of the tree.
    let mut chains = vec![0_usize];
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let Some(end) = skip(bytes, at) {
            if matches!(byte, b'"' | b'\'') {
                unary = 0;
            }
            at = end;
            continue;
        }
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                if let Some(chain) = chains.last_mut() {
                    *chain += usize::from(byte == b'[');
                }
                chains.push(0);
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if chains.len() > 1 {
                    chains.pop();
                }
            }
            // The next element starts a chain of its own, and so does a term of `&&` and `||`, which become a balanced tree.
            b',' | b'&' | b'|' => {
                if let Some(chain) = chains.last_mut() {
                    *chain = 0;
                }
            }
            b'?' => ternaries += 1,
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' => {
                if let Some(chain) = chains.last_mut() {
                    *chain += 1;
                }
            }
            _ => {}
        }
        unary = if matches!(byte, b'!' | b'-') { unary + 1 } else { 0 };
        if depth.max(unary).max(ternaries) > MAX_DEPTH {
            return Err((format!("nested deeper than {MAX_DEPTH}"), Some(at)));
        }
        if chains.iter().sum::<usize>() > MAX_CHAIN {
            return Err((format!("more than {MAX_CHAIN} operators in one chain"), Some(at)));
        }
        at += 1;
    }
    Ok(())
}

/// The end of the whitespace, comment or string literal that begins at `at`.
fn skip(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    match rest {
        [b' ' | b'\t' | b'\r' | b'\n', ..] => Some(at + 1),
        [b'/', b'/', ..] => Some(at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())),
        [quote @ (b'"' | b'\''), ..] => {
            let raw = is_raw(bytes.get(..at)?);
            let triple = rest.starts_with(&[*quote; 3]);
            let width = if triple { 3 } else { 1 };
            let close = &[*quote; 3];
            let mut end = width;
            while let Some(tail) = rest.get(end..).filter(|tail| !tail.is_empty()) {
                if tail.starts_with(close.get(..width)?) {
                    return Some(at + end + width);
                }
                end += if !raw && tail.starts_with(b"\\") { 2 } else { 1 };
            }
            Some(bytes.len())
        }
        _ => None,
    }
}

/// Whether a quote after this text opens a raw literal: `r'..'`, `br'..'`, `rb'..'`.
fn is_raw(before: &[u8]) -> bool {
    let word = before.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let prefix = before.get(before.len() - word..).unwrap_or_default().to_ascii_lowercase();
    matches!(prefix.as_slice(), b"r" | b"br" | b"rb")
}
