//! CSV files as they are found: whole, ragged, of other programs, and other than they were.

use super::*;

fn texts(path: PathBuf) -> Source {
    csv(path, &[])
}

/// Names and types of columns that were found, and the rows as JSON.
type Read = (Vec<(String, String)>, Vec<String>);

fn read(source: &Source, pinned: &[(&str, &str)]) -> Result<Read, WarehouseError> {
    let (warehouse, found) = attach(source, columns(pinned))?;
    let found = found.unwrap_or_default().into_iter();
    let types = found.map(|column| (column.name, column.data_type)).collect();
    Ok((
        types,
        rows(&warehouse, "SELECT outflow_json(people) FROM people ORDER BY 1")?,
    ))
}

fn of(content: &str) -> Read {
    let fixture = Fixture::new();
    read(&texts(fixture.file("p.csv", content)), &[]).unwrap_or_else(|error| panic!("{content:?}: {error}"))
}

fn types(types: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, data_type): &(&str, &str)| ((*name).to_owned(), (*data_type).to_owned());
    types.iter().map(owned).collect()
}

#[test]
fn rule_16_a_line_that_does_not_fit_is_told_by_file_and_line_and_nothing_is_shifted_or_dropped() {
    let cases = [
        (
            "id,name\n1,Ann\n2\n3,Cid\n",
            3,
            "it has 1 value, and there are 2 columns",
        ),
        (
            "id,name\n1,Ann\n2,Bob,x\n",
            3,
            "it has 3 values, and there are 2 columns",
        ),
        ("id,name\n1\n2,Bob\n3,Cid\n", 2, "it has 1 value"),
        ("id,name\n1,Ann,x\n2,Bob\n", 2, "it has 3 values"),
        ("id,name\n1,Ann\n2", 3, "it has 1 value"),
        ("id\n1,Ann\n2,Bob\n", 2, "it has 2 values, and there are 1 columns"),
        (
            "id,name,x\n1,Ann\n2,Bob\n",
            2,
            "it has 2 values, and there are 3 columns",
        ),
        ("# made by a program\nid,name\n1,Ann\n", 2, "it has 2 values"),
        ("id,name\n1,\"Ann\n2,Bob\n", 2, "a quote is not closed"),
        ("id,name\n1,\"Ann\"x\n2,Bob\n", 2, "text follows a quoted value"),
        ("id,name\n1,'Ann, x'\n", 2, "it has 3 values"),
    ];
    let fixture = Fixture::new();
    for (content, line, why) in cases {
        let path = fixture.file("p.csv", content);
        for pinned in [&[][..], &[("id", "BIGINT"), ("name", "VARCHAR"), ("x", "VARCHAR")]] {
            let error = read(&texts(path.clone()), pinned).err();
            let told = error.map_or_else(|| panic!("{content:?} is read"), |error| error.to_string());
            assert!(
                told.contains(&format!("{}, line {line}: ", path.display())) && told.contains(why),
                "{content:?}: {told}"
            );
            assert!(!told.contains("strict") && !told.contains("ignore_errors"), "{told}");
        }
    }
}

#[test]
fn rule_16_what_cannot_be_read_at_all_is_told() {
    let fixture = Fixture::new();
    let path = fixture.path("p.csv");
    let cases: [(&[u8], &str); 7] = [
        (b"", "its first line is to name the columns, and is empty"),
        (b"\xef\xbb\xbf", "its first line is to name the columns, and is empty"),
        (b"\n1,Ann\n", "its first line is to name the columns, and is empty"),
        (b"id,name\n1,\xff\n", "it is not UTF-8"),
        (b"id,name,ID\n1,Ann,2\n", "two columns are named `ID`"),
        (b"id,\"name\n1,Ann\n", "a quote is opened and not closed"),
        (
            b"id,name\n",
            "there are no rows yet, so the types of `id`, `name` are not known; declare them in `columns`",
        ),
    ];
    for (content, why) in cases {
        std::fs::write(&path, content).unwrap();
        let error = read(&texts(path.clone()), &[]).err();
        let told = error.map_or_else(|| panic!("{content:?} is read"), |error| error.to_string());
        assert!(
            told.contains(why) && told.contains("source `people`"),
            "{content:?}: {told}"
        );
    }
    std::fs::write(&path, "id,name\r\n1,Ann\n2,Bob\r\n").unwrap();
    let told = read(&texts(path), &[]).unwrap_err().to_string();
    assert!(told.contains("lines end in different ways"), "{told}");
}

#[test]
fn rule_16_without_rows_a_file_is_empty_once_its_types_are_known() {
    let fixture = Fixture::new();
    let path = fixture.file("p.csv", "id,name");
    let pinned = [("id", "BIGINT"), ("name", "VARCHAR")];
    assert_eq!(read(&texts(path.clone()), &pinned).unwrap().1, [""; 0]);
    assert_eq!(read(&csv(path, &pinned), &[]).unwrap().1, [""; 0]);
}

#[test]
fn the_first_line_names_the_columns_whatever_it_looks_like() {
    for (content, row) in [
        ("2001,2002\n1,2\n", r#"{"2001":1,"2002":2}"#),
        ("name,city\nAnn,Rome\n", r#"{"name":"Ann","city":"Rome"}"#),
        ("a,b\na,b\n", r#"{"a":"a","b":"b"}"#),
        ("name\nAnn\n", r#"{"name":"Ann"}"#),
        ("\u{feff}id,name\n1,Ann\n", r#"{"id":1,"name":"Ann"}"#),
        ("id,name\r\n1,Ann\r\n", r#"{"id":1,"name":"Ann"}"#),
        ("id, name\n1,Ann", r#"{"id":1,"name":"Ann"}"#),
        ("id;name\n1;\"An\n\"\"n;\"\n", r#"{"id":1,"name":"An\n\"n;"}"#),
        ("\"the\nid\"\tname\n1\tAnn, b\n", r#"{"the\nid":1,"name":"Ann, b"}"#),
        ("\"a,b\"|c\n1|2\n", r#"{"a,b":1,"c":2}"#),
        ("id,,x\n1,2,3\n", r#"{"id":1,"column1":2,"x":3}"#),
        ("日本,name\n1,é🙂\n", r#"{"日本":1,"name":"é🙂"}"#),
    ] {
        assert_eq!(of(content).1, [row], "{content:?}");
    }
}

#[test]
fn a_file_may_have_no_line_of_names_and_quotes_of_its_own() {
    let fixture = Fixture::new();
    let path = fixture.file("p.csv", "1|'it\\'s | x'\n2|''\n");
    let mut source = csv(path, &[("id", "BIGINT"), ("name", "VARCHAR")]);
    let SourceKind::Csv {
        quote, escape, header, ..
    } = &mut source.kind
    else {
        panic!("it is a CSV")
    };
    (*quote, *escape, *header) = (Some("'".into()), Some("\\".into()), Some(false));
    let wanted = [r#"{"id":1,"name":"it's | x"}"#, r#"{"id":2,"name":null}"#];
    assert_eq!(read(&source, &[]).unwrap().1, wanted);
    let SourceKind::Csv { columns, .. } = &mut source.kind else {
        panic!("it is a CSV")
    };
    columns.clear();
    let wanted = [
        r#"{"column0":1,"column1":"it's | x"}"#,
        r#"{"column0":2,"column1":null}"#,
    ];
    assert_eq!(read(&source, &[]).unwrap().1, wanted);
}

#[test]
fn rule_40_a_type_is_found_only_where_it_keeps_every_digit() {
    for (values, data_type, first) in [
        ("9223372036854775807", "BIGINT", "9223372036854775807"),
        ("9223372036854775808\n-1", "HUGEINT", "-1"),
        (
            "123456789012345678901234567890",
            "HUGEINT",
            "123456789012345678901234567890",
        ),
        (
            "12345678901234567890123456789012345678901",
            "VARCHAR",
            r#""12345678901234567890123456789012345678901""#,
        ),
        ("01234\n99", "VARCHAR", r#""01234""#),
        ("1.5\n-2\n3e2", "DOUBLE", "-2.0"),
        ("0.1234567890123456", "DOUBLE", "0.1234567890123456"),
        ("1.123456789012345678", "VARCHAR", r#""1.123456789012345678""#),
        ("1e400", "VARCHAR", r#""1e400""#),
        ("true\nFALSE", "BOOLEAN", "false"),
        ("t\nf", "VARCHAR", r#""f""#),
        ("2024-02-29", "DATE", r#""2024-02-29""#),
        ("2023-02-29", "VARCHAR", r#""2023-02-29""#),
        ("01/02/2024\n31/12/2024", "VARCHAR", r#""01/02/2024""#),
        (
            "2024-02-29 10:11:12.123456",
            "TIMESTAMP",
            r#""2024-02-29T10:11:12.123456""#,
        ),
        (
            "2024-02-29T10:11:12+02:00",
            "TIMESTAMP WITH TIME ZONE",
            r#""2024-02-29T08:11:12Z""#,
        ),
        ("10:11", "TIME", r#""10:11:00""#),
        ("nan", "VARCHAR", r#""nan""#),
        ("NA\n\"\"\n7", "BIGINT", "7"),
        ("NA\n\"\"", "VARCHAR", "null"),
    ] {
        let (found, rows) = of(&format!(
            "v,w\n{}",
            values.lines().map(|v| format!("{v},x\n")).collect::<String>()
        ));
        assert_eq!(found[0].1, data_type, "{values:?}");
        assert_eq!(rows[0], format!(r#"{{"v":{first},"w":"x"}}"#), "{values:?}");
    }
}

#[test]
fn rule_16_columns_are_found_by_their_names_in_a_file_that_changed() {
    let fixture = Fixture::new();
    let pinned = [("id", "BIGINT"), ("code", "VARCHAR"), ("name", "VARCHAR")];
    let path = fixture.file("p.csv", "name,new,code,id\nAnn,5,007,1\n");
    let (found, rows) = read(&texts(path), &pinned).unwrap();
    assert_eq!(
        found,
        types(&[
            ("name", "VARCHAR"),
            ("new", "BIGINT"),
            ("code", "VARCHAR"),
            ("id", "BIGINT")
        ])
    );
    assert_eq!(rows, [r#"{"name":"Ann","new":5,"code":"007","id":1}"#]);
    // One that is gone is gone, and not all null: who reads it is told.
    let path = fixture.file("p.csv", "id,name\n1,Ann\n");
    let (warehouse, _) = attach(&texts(path), columns(&pinned)).unwrap();
    let error = warehouse
        .check_model("SELECT code FROM people", &["people".into()])
        .unwrap_err();
    assert!(error.message.contains("code"), "{}", error.message);
}

#[test]
fn rule_16_columns_that_change_places_while_a_run_reads_are_not_confused() {
    let fixture = Fixture::new();
    let path = fixture.file("p.csv", "first,last\nAnn,Lee\n");
    let (warehouse, _) = attach(&texts(path), Vec::new()).unwrap();
    for moved in ["last,first\nLee,Ann\n", ""] {
        fixture.file("p.csv", moved);
        let error = rows(&warehouse, "SELECT first FROM people").unwrap_err();
        assert!(
            error.is_transient() && error.to_string().contains("changed its columns"),
            "{moved:?}: {error}"
        );
    }
    fixture.file("p.csv", "first,last\nBob,Ray\n");
    assert_eq!(rows(&warehouse, "SELECT first FROM people").unwrap(), ["Bob"]);
}

#[test]
fn files_of_one_source_have_the_same_columns_in_any_order() {
    let fixture = Fixture::new();
    fixture.file("part1.csv", "id,name\n1,Ann\n");
    fixture.file("part2.csv", "name;id\nBob;2\n");
    let source = texts(fixture.path("part*.csv"));
    let wanted = [r#"{"id":1,"name":"Ann"}"#, r#"{"id":2,"name":"Bob"}"#];
    assert_eq!(read(&source, &[]).unwrap().1, wanted);
    fixture.file("part3.csv", "id,name,x\n3,Cid,9\n");
    let told = read(&source, &[]).unwrap_err().to_string();
    assert!(
        told.contains("part1.csv has no column `x`, and ") && told.contains("part3.csv has one"),
        "{told}"
    );
}
