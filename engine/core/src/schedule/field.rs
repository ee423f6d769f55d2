//! A field of a cron expression, read into the values that it stands for.

use super::CronError;

/// What a field may hold.
pub struct Range {
    name: &'static str,
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

/// The minute.
pub const MINUTE: Range = Range {
    name: "minute",
    first: 0,
    last: 59,
    names: &[],
};
/// The hour.
pub const HOUR: Range = Range {
    name: "hour",
    first: 0,
    last: 23,
    names: &[],
};
/// The day of the month.
pub const DAY: Range = Range {
    name: "day of month",
    first: 1,
    last: 31,
    names: &[],
};
/// The month.
pub const MONTH: Range = Range {
    name: "month",
    first: 1,
    last: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// The weekday; 7 is Sunday, as 0 is.
pub const WEEKDAY: Range = Range {
    name: "weekday",
    first: 0,
    last: 7,
    names: WEEKDAYS,
};

/// The values of a field.
pub struct Field {
    /// Ascending, each once; empty stands for all.
    values: Vec<u32>,
    /// Whether it is anything but `*`.
    pub restricted: bool,
}

impl Field {
    /// `*`
    pub const fn any() -> Self {
        Self {
            values: Vec::new(),
            restricted: false,
        }
    }

    /// As the `cron` crate reads it.
    pub fn list(&self) -> String {
        self.written(|value| value.to_string())
    }

    /// As the `cron` crate reads weekdays: by name, since its numbers begin with 1 for Sunday.
    pub fn weekdays(&self) -> String {
        self.written(|value| WEEKDAYS.get(value as usize % 7).copied().unwrap_or_default().to_owned())
    }

    fn written(&self, word: impl Fn(u32) -> String) -> String {
        if self.values.is_empty() {
            return "*".to_owned();
        }
        self.values
            .iter()
            .map(|value| word(*value))
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl Range {
    /// Reads a field: values, ranges, steps and lists of them.
    pub fn parse(&self, text: &str) -> Result<Field, CronError> {
        if text == "*" {
            return Ok(Field::any());
        }
        let wrong = |message: String| CronError::Field {
            field: self.name,
            found: text.to_owned(),
            message,
        };
        let mut values = Vec::new();
        for item in text.split(',') {
            values.extend(self.item(item).map_err(wrong)?);
        }
        if self.last == 7 {
            values.iter_mut().for_each(|value| *value %= 7);
        }
        values.sort_unstable();
        values.dedup();
        Ok(Field {
            values,
            restricted: true,
        })
    }

    fn item(&self, item: &str) -> Result<Vec<u32>, String> {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(step)),
            None => (item, None),
        };
        let (from, to) = match span.split_once('-') {
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            // Sunday once, not as 0 and 7.
            None if span == "*" => (self.first, self.last.min(if self.last == 7 { 6 } else { self.last })),
            None if step.is_some() => {
                return Err(format!(
                    "a step needs a range before it, such as `{span}-{}/{}`",
                    self.last,
                    step.unwrap_or("5")
                ));
            }
            None => {
                let value = self.value(span)?;
                (value, value)
            }
        };
        if from > to {
            return Err(format!("the range `{span}` ends before it begins"));
        }
        let step: usize = match step {
            None => 1,
            Some(step) => match step.parse() {
                Ok(step) if step > 0 => step,
                _ => return Err(format!("`{step}` is no step; a step is a number from 1")),
            },
        };
        Ok((from..=to).step_by(step).collect())
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(self.first + u32::try_from(index).unwrap_or_default());
        }
        let number = text
            .parse()
            .ok()
            .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        number
            .filter(|value| (self.first..=self.last).contains(value))
            .ok_or_else(|| {
                let names = match self.names {
                    [first, .., last] => format!(", or a name from {first} to {last}"),
                    _ => String::new(),
                };
                format!(
                    "`{text}` is none of its values, which are {} to {}{names}",
                    self.first, self.last
                )
            })
    }
}
