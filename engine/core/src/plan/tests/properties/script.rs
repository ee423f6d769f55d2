//! What a sync goes through: random tables of random types, edits of them, turns of its configuration, fates of its
//! operations.

use proptest::collection::vec;
use proptest::prelude::*;

use super::model::{Config, Place, Record, Row};
use crate::destination::Equality;
use crate::project::sync::{From, Mapping, Mode, OnRemoved, Returning};

/// A value: in SQL, in JSON, and what it is equal by. No JSON where it has none (rule 40).
type Value = (&'static str, &'static str, &'static str);

/// Columns of one type.
#[derive(Debug)]
pub struct Type {
    name: &'static str,
    values: &'static [Value],
}

const NULL: Value = ("NULL", "null", "null");
/// A value that makes its row invalid.
const NONE: &str = "";

/// Keys in their order, as `id` and `sub`.
#[derive(Debug)]
pub struct Keys {
    id: &'static str,
    composite: bool,
    values: [(&'static str, &'static str, &'static str); 8],
}

const KEYS: [Keys; 5] = [
    Keys {
        id: "INTEGER",
        composite: false,
        values: [
            ("1", "'s'", "{\"id\":1}"),
            ("2", "'s'", "{\"id\":2}"),
            ("3", "'s'", "{\"id\":3}"),
            ("4", "'s'", "{\"id\":4}"),
            ("5", "'s'", "{\"id\":5}"),
            ("6", "'s'", "{\"id\":6}"),
            ("7", "'s'", "{\"id\":7}"),
            ("8", "'s'", "{\"id\":8}"),
        ],
    },
    Keys {
        id: "VARCHAR",
        composite: false,
        values: [
            ("''", "'s'", "{\"id\":\"\"}"),
            ("' '", "'s'", "{\"id\":\" \"}"),
            ("'A'", "'s'", "{\"id\":\"A\"}"),
            ("'AB'", "'s'", "{\"id\":\"AB\"}"),
            ("'a'", "'s'", "{\"id\":\"a\"}"),
            ("'ab'", "'s'", "{\"id\":\"ab\"}"),
            ("'b'", "'s'", "{\"id\":\"b\"}"),
            ("'ä'", "'s'", "{\"id\":\"ä\"}"),
        ],
    },
    Keys {
        id: "VARCHAR",
        composite: true,
        values: [
            ("''", "'ab'", "{\"id\":\"\",\"sub\":\"ab\"}"),
            ("'a'", "''", "{\"id\":\"a\",\"sub\":\"\"}"),
            ("'a'", "'b'", "{\"id\":\"a\",\"sub\":\"b\"}"),
            ("'a'", "'bc'", "{\"id\":\"a\",\"sub\":\"bc\"}"),
            ("'ab'", "''", "{\"id\":\"ab\",\"sub\":\"\"}"),
            ("'ab'", "'c'", "{\"id\":\"ab\",\"sub\":\"c\"}"),
            ("'b'", "'a'", "{\"id\":\"b\",\"sub\":\"a\"}"),
            ("'c'", "'a'", "{\"id\":\"c\",\"sub\":\"a\"}"),
        ],
    },
    Keys {
        id: "DECIMAL(9,2)",
        composite: false,
        values: [
            ("-1.50", "'s'", "{\"id\":-1.50}"),
            ("0", "'s'", "{\"id\":0.00}"),
            ("0.01", "'s'", "{\"id\":0.01}"),
            ("0.1", "'s'", "{\"id\":0.10}"),
            ("1", "'s'", "{\"id\":1.00}"),
            ("1.10", "'s'", "{\"id\":1.10}"),
            ("2", "'s'", "{\"id\":2.00}"),
            ("30", "'s'", "{\"id\":30.00}"),
        ],
    },
    Keys {
        id: "TIMESTAMPTZ",
        composite: false,
        values: [
            ("'2026-01-01 00:00:00+05'", "'s'", "{\"id\":\"2025-12-31T19:00:00Z\"}"),
            ("'2026-01-01 00:00:00+01'", "'s'", "{\"id\":\"2025-12-31T23:00:00Z\"}"),
            ("'2026-01-01 00:00:00+00'", "'s'", "{\"id\":\"2026-01-01T00:00:00Z\"}"),
            ("'2026-01-01 01:00:00+00'", "'s'", "{\"id\":\"2026-01-01T01:00:00Z\"}"),
            ("'2026-01-01 02:00:00+00'", "'s'", "{\"id\":\"2026-01-01T02:00:00Z\"}"),
            ("'2026-01-01 03:00:00+00'", "'s'", "{\"id\":\"2026-01-01T03:00:00Z\"}"),
            ("'2026-01-01 04:00:00+00'", "'s'", "{\"id\":\"2026-01-01T04:00:00Z\"}"),
            ("'2026-01-01 05:00:00+00'", "'s'", "{\"id\":\"2026-01-01T05:00:00Z\"}"),
        ],
    },
];

/// Match values; the third texts are what a destination without case takes them by.
const PLACES: [Type; 3] = [
    Type {
        name: "VARCHAR",
        values: &[
            ("'A'", "\"A\"", "a"),
            ("'B'", "\"B\"", "b"),
            ("'a'", "\"a\"", "a"),
            ("'b'", "\"b\"", "b"),
            ("'c'", "\"c\"", "c"),
            ("'d'", "\"d\"", "d"),
            ("'e'", "\"e\"", "e"),
        ],
    },
    Type {
        name: "BIGINT",
        values: &[
            ("10", "10", "10"),
            ("20", "20", "20"),
            ("30", "30", "30"),
            ("40", "40", "40"),
            ("50", "50", "50"),
        ],
    },
    Type {
        name: "DATE",
        values: &[
            ("'2026-01-01'", "\"2026-01-01\"", "1"),
            ("'2026-01-02'", "\"2026-01-02\"", "2"),
            ("'2026-01-03'", "\"2026-01-03\"", "3"),
            ("'2026-01-04'", "\"2026-01-04\"", "4"),
        ],
    },
];

const VALUES: [Type; 6] = [
    Type {
        name: "INTEGER",
        values: &[NULL, ("1", "1", "1"), ("2", "2", "2"), ("7", "7", "7")],
    },
    Type {
        name: "VARCHAR",
        values: &[
            NULL,
            ("''", "\"\"", "\"\""),
            ("'a'", "\"a\"", "\"a\""),
            ("'7'", "\"7\"", "\"7\""),
        ],
    },
    Type {
        name: "DECIMAL(9,2)",
        values: &[
            NULL,
            ("1.1", "1.10", "1.1"),
            ("1.10", "1.10", "1.1"),
            ("2", "2.00", "2"),
        ],
    },
    Type {
        name: "DOUBLE",
        values: &[
            NULL,
            ("0.0", "0.0", "0"),
            ("'-0.0'", "0.0", "0"),
            ("'NaN'", NONE, "NaN"),
            ("1.5", "1.5", "1.5"),
        ],
    },
    Type {
        name: "TIMESTAMPTZ",
        values: &[
            NULL,
            ("'2026-01-01 00:00:00+00'", "\"2026-01-01T00:00:00Z\"", "0"),
            ("'2026-01-01 01:00:00+01'", "\"2026-01-01T00:00:00Z\"", "0"),
            ("'2026-01-01 01:00:00+00'", "\"2026-01-01T01:00:00Z\"", "1"),
        ],
    },
    Type {
        name: "JSON",
        values: &[
            NULL,
            ("'{\"x\":1,\"y\":[1,2]}'", "{\"x\":1,\"y\":[1,2]}", "{12}"),
            ("'{\"y\":[1,2],\"x\":1.0}'", "{\"y\":[1,2],\"x\":1.0}", "{12}"),
            ("'{\"x\":1,\"y\":[2,1]}'", "{\"x\":1,\"y\":[2,1]}", "{21}"),
            ("'null'", "null", "json null"),
        ],
    },
];

/// Mappings that a sync may have, as fields with the column or the constant that they show.
const MAPPINGS: [&[(&str, &str)]; 6] = [
    &[("n", "n")],
    &[("n", "n"), ("o", "o")],
    &[("n", "n"), ("tag", "7")],
    &[("n", "o")],
    &[("o", "n"), ("n", "o")],
    &[("n", "7"), ("o", "o")],
];

/// The columns and the destination of a case.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub keys: &'static Keys,
    /// The match values, where they are not the keys.
    pub places: Option<&'static Type>,
    pub equality: Equality,
    pub values: &'static Type,
    pub at_finish: bool,
}

/// A row of the table, as indices into the types' values.
#[derive(Clone, Debug)]
pub struct Line {
    pub key: Option<u8>,
    pub place: Option<u8>,
    pub n: u8,
    pub o: u8,
}

impl Setting {
    /// The model's query.
    pub fn sql(&self, lines: &[Line]) -> String {
        let place_type = self.places.map_or("VARCHAR", |places| places.name);
        let (id_type, value) = (self.keys.id, self.values.name);
        let row = |line: &Line| {
            // A null anywhere in a key of several columns is a null key.
            let (id, sub) = match line.key {
                Some(key) => (
                    self.keys.values[usize::from(key)].0,
                    self.keys.values[usize::from(key)].1,
                ),
                None if self.keys.composite => (self.keys.values[2].0, "NULL"),
                None => ("NULL", "'s'"),
            };
            let place = line.place.map_or("NULL", |place| self.place_value(place).0);
            let (n, o) = (self.value(line.n).0, self.value(line.o).0);
            // Cast one by one: VALUES would take all of a column for one type first.
            format!("({id}::{id_type}, {sub}, {place}::{place_type}, {n}::{value}, {o}::{value})")
        };
        let rows: Vec<_> = lines.iter().map(row).collect();
        let (rows, filter) = if rows.is_empty() {
            ("(NULL, NULL, NULL, NULL, NULL)".to_owned(), " WHERE false")
        } else {
            (rows.join(", "), "")
        };
        format!(
            "SELECT id::{id_type} AS id, sub::VARCHAR AS sub, email::{place_type} AS email, n::{value} AS n, o::{value} AS o \
             FROM (VALUES {rows}) AS t(id, sub, email, n, o){filter}"
        )
    }

    pub fn key_columns(&self) -> Vec<&'static str> {
        if self.keys.composite {
            vec!["id", "sub"]
        } else {
            vec!["id"]
        }
    }

    fn place_value(&self, place: u8) -> Value {
        let values = self.places.map_or(&PLACES[0], |places| places).values;
        values[usize::from(place) % values.len()]
    }

    fn value(&self, value: u8) -> Value {
        self.values.values[usize::from(value) % self.values.values.len()]
    }

    /// The rows as the mappings make them.
    pub fn rows(&self, lines: &[Line], mappings: usize) -> Vec<Row> {
        lines.iter().map(|line| self.row(line, mappings)).collect()
    }

    fn row(&self, line: &Line, mappings: usize) -> Row {
        let cell = |column: &str| {
            let value = self.value(if column == "n" { line.n } else { line.o });
            match column {
                "n" | "o" => (value.1 != NONE).then(|| (value.1.to_owned(), value.2.to_owned())),
                constant => Some((constant.to_owned(), constant.to_owned())),
            }
        };
        let fields = MAPPINGS[mappings].iter();
        let record: Option<Record> = fields.map(|(to, from)| Some((*to, cell(from)?))).collect();
        Row {
            key: line.key,
            place: if self.places.is_some() {
                line.place.map(|place| self.place(place))
            } else {
                line.key.map(|key| self.key_as_place(key))
            },
            record,
        }
    }

    fn place(&self, place: u8) -> Place {
        let values = self.places.map_or(&PLACES[0], |places| places).values;
        let spelled = usize::from(place) % values.len();
        let same = |other: &Value| other.2 == values[spelled].2 && self.equality == Equality::Caseless;
        let class = values.iter().position(same).unwrap_or(spelled);
        Place {
            class: class as u8,
            spelled: spelled as u8,
        }
    }

    fn key_as_place(&self, key: u8) -> Place {
        let folded = |key: usize| self.keys.values[key].2.to_lowercase();
        let caseless = self.equality == Equality::Caseless && self.keys.id == "VARCHAR";
        let class =
            (0..8).find(|other| caseless && folded(*other) == format!("{{\"id\":{}", &folded(usize::from(key))[6..]));
        Place {
            class: class.map_or(key, |class| class as u8),
            spelled: key,
        }
    }

    /// A key as JSON.
    pub fn key_json(&self, key: u8) -> &'static str {
        self.keys.values[usize::from(key)].2
    }

    /// A match value as JSON.
    pub fn place_json(&self, place: Place) -> String {
        match self.places {
            Some(_) => self.place_value(place.spelled).1.to_owned(),
            None if self.keys.composite => self.key_json(place.spelled).to_owned(),
            None => {
                let key = self.key_json(place.spelled);
                key["{\"id\":".len()..key.len() - 1].to_owned()
            }
        }
    }
}

/// The mappings of a sync.
pub fn mappings(which: usize) -> Vec<Mapping> {
    let mapping = |(to, from): &(&str, &str)| Mapping {
        to: (*to).into(),
        from: match *from {
            "n" | "o" => From::Column((*from).into()),
            constant => From::Value(serde_json::from_str(constant).unwrap()),
        },
    };
    MAPPINGS[which].iter().map(mapping).collect()
}

/// The names of the fields, in the order of the record.
pub fn fields(which: usize) -> impl Iterator<Item = &'static str> {
    MAPPINGS[which].iter().map(|(to, _)| *to)
}

/// An edit of the table.
#[derive(Clone, Debug)]
pub enum Edit {
    Put(Line),
    Drop(u8),
    /// Match values change hands.
    Swap(u8, u8),
    /// A row more, with a key that is null or there already.
    Extra(Line),
    NoExtras,
    Clear,
    /// Somebody deletes a record at the destination.
    Lose(u8),
}

/// A turn of the configuration, or what a person asks for.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    Mode(Mode),
    OnRemoved(OnRemoved),
    Returning(Returning),
    Mappings(usize),
    FullResync,
    Rebaseline,
    Nothing,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Accept,
    Reject,
    /// No match, where there is no record.
    NoMatch,
    UnknownDone,
    UnknownLost,
    SilentDone,
    SilentLost,
    NotSent,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Folded,
    /// Its journal is left to the next run.
    Crashed,
    /// The destination does not finish.
    Unfinished,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub edits: Vec<Edit>,
    pub turn: Turn,
    pub fates: Vec<Fate>,
    pub ending: Ending,
    /// Whether a person allows removals that are held.
    pub allow: bool,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub setting: Setting,
    pub config: Config,
    pub mappings: usize,
    pub steps: Vec<Step>,
}

fn line() -> impl Strategy<Value = Line> {
    (
        0u8..8,
        prop_oneof![9 => (0u8..7).prop_map(Some), 1 => Just(None)],
        0u8..5,
        0u8..5,
    )
        .prop_map(|(key, place, n, o)| Line {
            key: Some(key),
            place,
            n,
            o,
        })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        12 => line().prop_map(Edit::Put),
        4 => (0u8..8).prop_map(Edit::Drop),
        4 => (0u8..8, 0u8..8).prop_map(|(a, b)| Edit::Swap(a, b)),
        1 => (line(), any::<bool>()).prop_map(|(line, null)| Edit::Extra(Line { key: line.key.filter(|_| !null), ..line })),
        2 => Just(Edit::NoExtras),
        1 => Just(Edit::Clear),
        1 => (0u8..8).prop_map(Edit::Lose),
    ]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![5 => Just(Mode::Upsert), 4 => Just(Mode::Insert), 2 => Just(Mode::Update), 1 => Just(Mode::All)]
}

fn on_removed() -> impl Strategy<Value = OnRemoved> {
    prop_oneof![3 => Just(OnRemoved::Delete), 2 => Just(OnRemoved::Nothing), 1 => Just(OnRemoved::Clear)]
}

fn returning() -> impl Strategy<Value = Returning> {
    prop_oneof![Just(Returning::Remember), Just(Returning::Insert)]
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        12 => Just(Turn::Nothing),
        2 => mode().prop_map(Turn::Mode),
        2 => on_removed().prop_map(Turn::OnRemoved),
        1 => returning().prop_map(Turn::Returning),
        2 => (0..MAPPINGS.len()).prop_map(Turn::Mappings),
        1 => Just(Turn::FullResync),
        1 => Just(Turn::Rebaseline),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Accept),
        2 => Just(Fate::Reject),
        2 => Just(Fate::NoMatch),
        1 => Just(Fate::UnknownDone),
        1 => Just(Fate::UnknownLost),
        1 => Just(Fate::SilentDone),
        1 => Just(Fate::SilentLost),
        2 => Just(Fate::NotSent),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![6 => Just(Ending::Folded), 2 => Just(Ending::Crashed), 1 => Just(Ending::Unfinished)]
}

fn step() -> impl Strategy<Value = Step> {
    (
        vec(edit(), 0..4),
        turn(),
        vec(fate(), 1..8),
        ending(),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(edits, turn, fates, ending, allow)| Step {
            edits,
            turn,
            fates,
            ending,
            allow,
        })
}

fn setting() -> impl Strategy<Value = Setting> {
    let places = prop_oneof![1 => Just(None), 3 => (0..PLACES.len()).prop_map(|index| Some(&PLACES[index]))];
    let equality = prop_oneof![3 => Just(Equality::Exact), 1 => Just(Equality::Caseless)];
    (
        0..KEYS.len(),
        places,
        equality,
        0..VALUES.len(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(keys, places, equality, values, at_finish)| Setting {
            keys: &KEYS[keys],
            places,
            equality,
            values: &VALUES[values],
            at_finish,
        })
}

pub fn case() -> impl Strategy<Value = Case> {
    let config = (mode(), on_removed(), returning());
    (
        setting(),
        config,
        0..MAPPINGS.len(),
        vec(line(), 0..5),
        vec(step(), 1..9),
    )
        .prop_map(|(setting, (mode, on_removed, returning), mappings, lines, mut steps)| {
            // The first rows.
            steps[0].edits.splice(0..0, lines.into_iter().map(Edit::Put));
            Case {
                setting,
                config: Config {
                    mode,
                    on_removed,
                    returning,
                },
                mappings,
                steps,
            }
        })
}
