//! One text for equal JSON documents.
//!
//! Numbers keep all of their digits, which a parser into doubles would not.

use std::collections::BTreeMap;

/// The document without spacing, with sorted keys, one escape for each character, and one
/// spelling of each number.
///
/// # Panics
/// When it is not JSON.
pub(super) fn canonical(text: &str) -> String {
    let mut rest = text;
    let value = value(&mut rest);
    assert!(
        rest.trim_start().is_empty(),
        "something follows the JSON document"
    );
    value
}

fn value(rest: &mut &str) -> String {
    *rest = rest.trim_start();
    match rest.chars().next() {
        Some('{') => object(rest),
        Some('[') => array(rest),
        Some('"') => string(rest),
        Some('-' | '0'..='9') => {
            let end = rest
                .find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'))
                .unwrap_or(rest.len());
            let (token, tail) = rest.split_at(end);
            *rest = tail;
            number(token)
        }
        _ => {
            let word = ["null", "true", "false"]
                .into_iter()
                .find(|word| rest.starts_with(word))
                .unwrap_or_else(|| panic!("not JSON: {} characters are left", rest.len()));
            *rest = rest.strip_prefix(word).expect("it starts with it");
            word.to_owned()
        }
    }
}

fn object(rest: &mut &str) -> String {
    let mut entries = BTreeMap::new();
    expect(rest, '{');
    if !take(rest, '}') {
        loop {
            *rest = rest.trim_start();
            let key = string(rest);
            expect(rest, ':');
            let twice = entries.insert(key, value(rest));
            assert!(twice.is_none(), "an object has a key twice");
            if !take(rest, ',') {
                break;
            }
        }
        expect(rest, '}');
    }
    let entries: Vec<String> = entries
        .into_iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    format!("{{{}}}", entries.join(","))
}

fn array(rest: &mut &str) -> String {
    let mut values = Vec::new();
    expect(rest, '[');
    if !take(rest, ']') {
        loop {
            values.push(value(rest));
            if !take(rest, ',') {
                break;
            }
        }
        expect(rest, ']');
    }
    format!("[{}]", values.join(","))
}

fn string(rest: &mut &str) -> String {
    let mut escaped = false;
    let end = rest
        .char_indices()
        .skip(1)
        .find_map(|(position, c)| match c {
            '"' if !escaped => Some(position + 1),
            _ => {
                escaped = c == '\\' && !escaped;
                None
            }
        })
        .expect("a JSON string ends");
    let (token, tail) = rest.split_at(end);
    *rest = tail;
    let parsed: String =
        serde_json::from_str(token).unwrap_or_else(|error| panic!("not a JSON string: {error}"));
    serde_json::Value::String(parsed).to_string()
}

/// `-1.50e3` as `-15e2`. Zero has no sign: `jsonb` keeps none.
fn number(token: &str) -> String {
    let (sign, token) = match token.strip_prefix('-') {
        Some(token) => ("-", token),
        None => ("", token),
    };
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let exponent: i64 = exponent.parse().expect("an exponent is an integer");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let shift = |digits: &str| i64::try_from(digits.len()).expect("a length fits");
    let exponent = exponent - shift(fraction) + shift(&digits) - shift(significant);
    match significant.trim_start_matches('0') {
        "" => "0".to_owned(),
        significant => format!("{sign}{significant}e{exponent}"),
    }
}

fn take(rest: &mut &str, wanted: char) -> bool {
    match rest.trim_start().strip_prefix(wanted) {
        Some(tail) => {
            *rest = tail;
            true
        }
        None => false,
    }
}

fn expect(rest: &mut &str, wanted: char) {
    assert!(take(rest, wanted), "not JSON: {wanted} is missing");
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn spacing_key_order_and_escapes_do_not_matter() {
        assert_eq!(
            canonical(r#"{"b": 1, "a": [1, "x\u00e9\/"], "" : {}}"#),
            canonical("{\"\":{},\"a\":[1,\"x\u{e9}/\"],\"b\":1}")
        );
        assert_eq!(canonical(" [ ] "), "[]");
        assert_eq!(canonical(r#""a\\""#), r#""a\\""#);
        assert_ne!(canonical("[1, 2]"), canonical("[2, 1]"));
        assert_ne!(canonical("[null]"), canonical(r#"["null"]"#));
    }

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(canonical("1.50"), canonical("15e-1"));
        assert_eq!(canonical("1e3"), canonical("1000.0"));
        assert_eq!(canonical("-0.0"), canonical("0"));
        assert_ne!(
            canonical("12345678901234567890123"),
            canonical("12345678901234567890124")
        );
        assert_ne!(
            canonical("18446744073709551615"),
            canonical("18446744073709551616")
        );
    }

    #[test]
    #[should_panic(expected = "not JSON")]
    fn what_is_not_json_is_no_document() {
        let _ = canonical("[1 2]");
    }
}
