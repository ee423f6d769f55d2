use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn times(expression: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(expression, zone).unwrap();
    let mut last = utc(after);
    (0..count)
        .map(|_| {
            last = cron.next_after(last).unwrap();
            last.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        })
        .collect()
}

#[test]
fn rule_37_sunday_is_0_and_7_and_has_a_name() {
    let expected = ["2026-11-29T06:00:00Z", "2026-12-06T06:00:00Z"];
    for weekday in ["0", "7", "sun", "SUN"] {
        assert_eq!(
            times(&format!("0 6 * * {weekday}"), Tz::UTC, "2026-11-25T00:00:00Z", 2),
            expected
        );
    }
    assert_eq!(
        times("0 6 * * 5-7", Tz::UTC, "2026-11-25T00:00:00Z", 3)[2],
        "2026-11-29T06:00:00Z"
    );
}

#[test]
fn rule_37_two_restricted_days_mean_either() {
    assert_eq!(
        times("0 0 13 * FRI", Tz::UTC, "2026-11-10T00:00:00Z", 4),
        [
            "2026-11-13T00:00:00Z",
            "2026-11-20T00:00:00Z",
            "2026-11-27T00:00:00Z",
            "2026-12-04T00:00:00Z"
        ]
    );
    assert!(times("0 0 13 * FRI", Tz::UTC, "2026-12-11T12:00:00Z", 1)[0].starts_with("2026-12-13"));
}

#[test]
fn rule_37_a_time_in_a_gap_runs_at_the_first_instant_after_it() {
    // Berlin skips 02:00 to 03:00 on 29 March 2026.
    assert_eq!(
        times("30 2 * * *", Tz::Europe__Berlin, "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    // Several times in one gap are one run.
    assert_eq!(
        times("*/20 2 * * *", Tz::Europe__Berlin, "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]
    );
}

#[test]
fn rule_37_a_time_in_an_overlap_runs_once() {
    // Berlin has 02:00 to 03:00 twice on 25 October 2026.
    assert_eq!(
        times("30 2 * * *", Tz::Europe__Berlin, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn rule_37_what_never_fires_is_refused() {
    assert_eq!(
        Cron::parse("0 0 30 2 *", Tz::UTC).unwrap_err(),
        CronError::Never("0 0 30 2 *".into())
    );
    assert!(Cron::parse("0 0 29 2 *", Tz::UTC).is_ok());
    assert!(Cron::parse("0 0 31 4 MON", Tz::UTC).is_ok(), "every Monday of April");
}

#[test]
fn wrong_expressions_are_told_by_field() {
    for (expression, message) in [
        (
            "0 6 * *",
            "a cron expression has five fields (minute, hour, day of month, month, weekday), and `0 6 * *` has 4",
        ),
        (
            "0 0 6 * * *",
            "a cron expression has five fields (minute, hour, day of month, month, weekday), and `0 0 6 * * *` has 6",
        ),
        (
            "60 6 * * *",
            "the minute `60` of the cron expression is wrong: `60` is none of its values, which are 0 to 59",
        ),
        (
            "0 6 * * L",
            "the weekday `L` of the cron expression is wrong: `L` is none of its values, which are 0 to 7, or a name from SUN to SAT",
        ),
        (
            "0 6 0 * *",
            "the day of month `0` of the cron expression is wrong: `0` is none of its values, which are 1 to 31",
        ),
        (
            "*/0 6 * * *",
            "the minute `*/0` of the cron expression is wrong: `0` is no step; a step is a number from 1",
        ),
        (
            "0 22-6 * * *",
            "the hour `22-6` of the cron expression is wrong: the range `22-6` ends before it begins",
        ),
        (
            "5/10 * * * *",
            "the minute `5/10` of the cron expression is wrong: a step needs a range before it, such as `5-59/10`",
        ),
        (
            "0 6 * * MON#2",
            "the weekday `MON#2` of the cron expression is wrong: `MON#2` is none of its values, which are 0 to 7, or a name from SUN to SAT",
        ),
    ] {
        assert_eq!(Cron::parse(expression, Tz::UTC).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_interval_counts_from_the_last_start() {
    let every = Schedule::Interval(Duration::from_secs(900));
    assert_eq!(
        every.next_after(utc("2026-11-25T06:00:00Z")),
        Some(utc("2026-11-25T06:15:00Z"))
    );
}

fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => (first..=last).prop_map(|value| value.to_string()),
        1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (first..=last, first..=last, 1u32..7).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        1 => proptest::collection::vec(first..=last, 1..4)
            .prop_map(|values| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    ]
}

/// `croner` follows Unix; here it is asked five times in a row.
fn agrees(expression: &str, zone: Tz, start_minutes: i64) -> Result<(), TestCaseError> {
    let ours = Cron::parse(expression, zone).unwrap();
    let theirs: croner::Cron = expression.parse().unwrap();
    let new_year = NaiveDate::from_ymd_opt(2026, 1, 1)
        .unwrap()
        .and_time(chrono::NaiveTime::MIN)
        .and_utc();
    let mut last = new_year + TimeDelta::minutes(start_minutes);
    for _ in 0..5 {
        let expected = theirs
            .find_next_occurrence(&last.with_timezone(&zone), false)
            .unwrap()
            .to_utc();
        let next = ours.next_after(last).unwrap();
        prop_assert_eq!(next, expected, "{} in {} after {}", expression, zone, last);
        last = next;
    }
    Ok(())
}

const MINUTES_A_YEAR: i64 = 365 * 24 * 60;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rule_37_an_independent_reader_agrees_on_every_form(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 28), month in field(1, 12), weekday in field(0, 6),
        zone in proptest::sample::select(vec![Tz::UTC, Tz::Asia__Kolkata, Tz::America__Phoenix]),
        start in 0..MINUTES_A_YEAR,
    ) {
        agrees(&format!("{minute} {hour} {day} {month} {weekday}"), zone, start)?;
    }

    /// With one time of day: where an expression has several, croner leaves skipped ones out and runs repeated ones
    /// twice, which the rule does not.
    #[test]
    fn rule_37_an_independent_reader_agrees_on_gaps_and_overlaps(
        minute in 0u32..60, hour in 0u32..5, day in field(1, 28), month in field(1, 12), weekday in field(0, 6),
        zone in proptest::sample::select(vec![
            Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Pacific__Auckland,
            Tz::Africa__Cairo, Tz::America__Santiago,
        ]),
        start in 0..MINUTES_A_YEAR,
    ) {
        agrees(&format!("{minute} {hour} {day} {month} {weekday}"), zone, start)?;
    }
}
