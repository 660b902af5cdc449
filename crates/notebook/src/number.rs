//! Numbers as people write them.

/// A number of things in words: `1 epoch`, `2 epochs`.
pub fn counted<N: std::fmt::Display>(number: N, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// 5979642 as 5,979,642.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 112896000 as 112.9M: three or more digits and K, M, G or T for thousands.
pub fn short(value: i64) -> String {
    scaled(value, 1000.0, &["", "K", "M", "G", "T", "P", "E"])
}

/// Bytes in units of 1024.
pub fn bytes(value: i64) -> String {
    scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

fn scaled(value: i64, step: f64, units: &[&str]) -> String {
    let mut scaled = value as f64;
    let mut unit = 0;
    // What would be rounded up to the next unit belongs to it.
    while scaled.abs() >= step - 0.05 && unit + 1 < units.len() {
        scaled /= step;
        unit += 1;
    }
    match unit {
        0 => format!("{value}{}", units[0]),
        _ => format!("{scaled:.1}{}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (5_979_642, "5,979,642"),
            (-12_345, "-12,345"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(grouped(value), expected);
        }
        for (value, expected) in
            [(999, "999"), (1000, "1.0K"), (999_960, "1.0M"), (112_896_000, "112.9M")]
        {
            assert_eq!(short(value), expected);
        }
        assert_eq!(
            (bytes(1023), bytes(1536), bytes(3 << 30)),
            ("1023 B".into(), "1.5 KiB".into(), "3.0 GiB".into())
        );
    }
}
