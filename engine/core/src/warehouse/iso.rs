//! Dates, times and durations as ISO 8601 writes them.

use super::vector::Unit;

const DAY_NANOS: i128 = 86_400_000_000_000;

/// A date from days since 1970; nothing for an infinite one. Years beyond four digits carry a sign, as the standard asks.
pub(super) fn date(out: &mut Vec<u8>, days: i32) -> Option<()> {
    // DuckDB's infinities.
    if days == i32::MAX || days == -i32::MAX {
        return None;
    }
    civil(out, days.into());
    Some(())
}

/// A time of day from nanoseconds. The fraction has as many groups of three digits as it needs.
pub(super) fn time(out: &mut Vec<u8>, nanos: i64) -> Option<()> {
    let seconds = nanos.div_euclid(1_000_000_000);
    let ([h0, h1], [m0, m1], [s0, s1]) = (two(seconds / 3_600), two(seconds / 60 % 60), two(seconds % 60));
    out.extend_from_slice(&[h0, h1, b':', m0, m1, b':', s0, s1]);
    fraction(out, nanos.rem_euclid(1_000_000_000));
    Some(())
}

/// A timestamp since 1970, without a zone; nothing for an infinite one.
pub(super) fn timestamp(out: &mut Vec<u8>, value: i64, unit: Unit) -> Option<()> {
    // DuckDB's infinities.
    if value == i64::MAX || value == -i64::MAX {
        return None;
    }
    let nanos = i128::from(value) * i128::from(unit.nanos());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "64 bits of seconds are fewer days; within a day it is 47 bits"
    )]
    let (days, of_day) = (nanos.div_euclid(DAY_NANOS) as i64, nanos.rem_euclid(DAY_NANOS) as i64);
    civil(out, days);
    out.push(b'T');
    time(out, of_day)
}

/// A duration. Its parts are as they are: 30 days are no month. Each has its own sign.
pub(super) fn interval(out: &mut Vec<u8>, months: i32, days: i32, micros: i64) {
    out.push(b'P');
    part(out, i64::from(months / 12), b'Y');
    part(out, i64::from(months % 12), b'M');
    part(out, days.into(), b'D');
    let nothing = months == 0 && days == 0;
    if micros == 0 {
        if nothing {
            out.extend_from_slice(b"T0S");
        }
        return;
    }
    out.push(b'T');
    let seconds = micros / 1_000_000;
    part(out, seconds / 3_600, b'H');
    part(out, seconds / 60 % 60, b'M');
    let (seconds, rest) = (seconds % 60, micros % 1_000_000);
    if seconds != 0 || rest != 0 {
        if micros < 0 {
            out.push(b'-');
        }
        out.extend_from_slice(seconds.unsigned_abs().to_string().as_bytes());
        fraction(out, rest.abs() * 1_000);
        out.push(b'S');
    }
}

fn part(out: &mut Vec<u8>, value: i64, letter: u8) {
    if value != 0 {
        out.extend_from_slice(value.to_string().as_bytes());
        out.push(letter);
    }
}

/// A date of the proleptic Gregorian calendar from days since 1970. The arithmetic is Howard Hinnant's
/// `civil_from_days`: years begin in March, so that the leap day is the last.
fn civil(out: &mut Vec<u8>, days: i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let ([m0, m1], [d0, d1]) = (two(month), two(day));
    if (0..=9_999).contains(&year) {
        let ([c0, c1], [y0, y1]) = (two(year / 100), two(year % 100));
        return out.extend_from_slice(&[c0, c1, y0, y1, b'-', m0, m1, b'-', d0, d1]);
    }
    out.extend_from_slice(format!("{year:+05}").as_bytes());
    out.extend_from_slice(&[b'-', m0, m1, b'-', d0, d1]);
}

/// The digits of `value`, which is from 0 to 99.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two digits")]
const fn two(value: i64) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

/// `nanos` is below a second.
fn fraction(out: &mut Vec<u8>, nanos: i64) {
    if nanos == 0 {
        return;
    }
    let text = if nanos % 1_000_000 == 0 {
        format!(".{:03}", nanos / 1_000_000)
    } else if nanos % 1_000 == 0 {
        format!(".{:06}", nanos / 1_000)
    } else {
        format!(".{nanos:09}")
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_agree_with_chrono() {
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in (-800_000..800_000).step_by(97) {
            let expected = (epoch + chrono::Duration::days(days.into()))
                .format("%Y-%m-%d")
                .to_string();
            assert_eq!(written(|out| date(out, days).unwrap()), expected);
        }
    }

    #[test]
    fn a_time_before_1970_counts_from_its_midnight() {
        assert_eq!(
            written(|out| timestamp(out, -1, Unit::Micros).unwrap()),
            "1969-12-31T23:59:59.999999"
        );
        assert_eq!(
            written(|out| timestamp(out, i64::MIN, Unit::Nanos).unwrap()),
            "1677-09-21T00:12:43.145224192"
        );
    }

    #[test]
    fn durations_keep_their_parts() {
        assert_eq!(written(|out| interval(out, 0, 0, 0)), "PT0S");
        assert_eq!(
            written(|out| interval(out, 14, 30, 3_723_500_000)),
            "P1Y2M30DT1H2M3.500S"
        );
        assert_eq!(written(|out| interval(out, -1, -1, -1_000_001)), "P-1M-1DT-1.000001S");
        assert_eq!(written(|out| interval(out, 12, 0, 0)), "P1Y");
    }
}
