//! `$((…))`: numbers of 64 bits with the operators of C that matter, and variables by name.

use alloc::format;
use alloc::string::String;

/// Most parentheses and signs within each other.
const DEPTH: u32 = 32;

/// The value of an expression; what is wrong with it, as text. `variable` gives values of variables; one that is not there is 0.
pub fn evaluate(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<i64, String> {
    let mut evaluator = Evaluator { rest: text, variable, depth: 0 };
    let value = evaluator.level(0)?;
    match evaluator.peek() {
        "" => Ok(value),
        rest => Err(format!("`{rest}` is not expected in `{text}`")),
    }
}

/// Operators from the loosest to the tightest; longer ones first.
const LEVELS: [&[&str]; 6] = [&["||"], &["&&"], &["==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

struct Evaluator<'a> {
    rest: &'a str,
    variable: &'a dyn Fn(&str) -> Option<String>,
    depth: u32,
}

impl<'a> Evaluator<'a> {
    fn peek(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn take(&mut self, text: &str) -> bool {
        match self.peek().strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn level(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut value = self.level(level + 1)?;
        while let Some(operator) = operators.iter().copied().find(|operator| self.take(operator)) {
            let right = self.level(level + 1)?;
            value = apply(operator, value, right)?;
        }
        Ok(value)
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("too many parentheses".into());
        }
        let value = if self.take("-") {
            self.unary()?.wrapping_neg()
        } else if self.take("+") {
            self.unary()?
        } else if self.take("!") {
            i64::from(self.unary()? == 0)
        } else if self.take("(") {
            let value = self.level(0)?;
            if !self.take(")") {
                return Err("a `)` is missing".into());
            }
            value
        } else {
            self.operand()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn operand(&mut self) -> Result<i64, String> {
        let text = self.peek();
        let bare = text.strip_prefix('$').unwrap_or(text);
        let (bare, braced) = match bare.strip_prefix('{') {
            Some(inner) if bare.len() < text.len() => (inner, true),
            _ => (bare, false),
        };
        let end = bare.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(bare.len());
        let (word, mut rest) = bare.split_at(end);
        if word.is_empty() {
            return Err(format!("a number is missing at `{text}`"));
        }
        if braced {
            rest = rest.strip_prefix('}').ok_or("a `}` is missing")?;
        }
        self.rest = rest;
        let is_number = word.starts_with(|c: char| c.is_ascii_digit()) && bare.len() == text.len();
        if is_number {
            return number(word);
        }
        match (self.variable)(word) {
            Some(value) if !value.trim().is_empty() => number(value.trim()),
            _ => Ok(0),
        }
    }
}

fn number(text: &str) -> Result<i64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is not a number"))
}

fn apply(operator: &str, left: i64, right: i64) -> Result<i64, String> {
    Ok(match operator {
        "||" => (left != 0 || right != 0).into(),
        "&&" => (left != 0 && right != 0).into(),
        "==" => (left == right).into(),
        "!=" => (left != right).into(),
        "<=" => (left <= right).into(),
        ">=" => (left >= right).into(),
        "<" => (left < right).into(),
        ">" => (left > right).into(),
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        _ if right == 0 => return Err("division by zero".into()),
        "/" => left.wrapping_div(right),
        _ => left.wrapping_rem(right),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn value(text: &str) -> Result<i64, String> {
        evaluate(text, &|name| match name {
            "x" => Some("7".to_string()),
            "text" => Some("abc".to_string()),
            "1" => Some("5".to_string()),
            _ => None,
        })
    }

    #[test]
    fn expressions_have_values() {
        for (text, expected) in [
            ("1 + 2 * 3", 7),
            ("(1+2)*3 - -4", 13),
            ("x+1", 8),
            ("$x + ${x} + $1", 19),
            ("7 / 2 % 2", 1),
            ("1 < 2 && 3 >= 3", 1),
            ("!0 == 1 || 0", 1),
            ("0x10 - nothing", 16),
            ("9223372036854775807 + 1", i64::MIN),
            ("-9223372036854775807 - 1", i64::MIN),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
        for text in ["", "1 +", "1 2", "(1", "1/0", "text", "9x", "$", "${x", "99999999999999999999"] {
            assert!(value(text).is_err(), "{text}");
        }
        assert!(value(&"(".repeat(100_000)).is_err() && value(&"-".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn anything_is_borne(text in "[-+*/%()<>=!&|0-9x $\\{\\}é]{0,30}") {
            let _ = value(&text);
        }
    }
}
