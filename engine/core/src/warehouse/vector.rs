//! DuckDB's vectors, read in place: one typed reader that feeds the hash, the JSON text and the results of queries.
//!
//! A [`Vector`] is a column of one chunk with its type resolved once; cells are then read without a call into DuckDB.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::rc::Rc;

use duckdb::ffi;

use super::connection::text_at;
use super::json;

/// What a vector holds. Numbers tell how wide the stored values are, in bits.
pub(super) enum Kind {
    /// NULL, always.
    Null,
    Boolean,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    /// An exact number: an integer of that width, and the digits after its point.
    Decimal16(u8),
    Decimal32(u8),
    Decimal64(u8),
    Decimal128(u8),
    /// An integer of any size, see [`Bignum`].
    Bignum,
    F32,
    F64,
    Text,
    /// Text that should be JSON.
    Json,
    Blob,
    /// One byte with the number of unused leading bits, then the bits.
    Bit,
    Uuid,
    Geometry,
    /// Days since 1970.
    Date,
    /// Microseconds.
    Time,
    /// Nanoseconds.
    TimeNs,
    /// 40 bits of microseconds, 24 bits of [`TIMETZ_OFFSET_MAX_S`] minus the offset in seconds.
    TimeTz,
    /// Since 1970, in the unit given, without a zone.
    Timestamp(Unit),
    /// Microseconds since 1970 in UTC.
    TimestampTz,
    Interval,
    Enum(Dictionary),
    List(Box<Vector>),
    Array(Box<Vector>, usize),
    Struct(Fields),
    Map(Box<Vector>, Box<Vector>),
    /// The member of each row, then the members with their names.
    Union(Box<Vector>, Vec<(String, Vector)>),
}

/// The fields of a struct.
pub(super) struct Fields {
    pub(super) all: Vec<(String, Vector)>,
    /// Their places in the order of their names.
    pub(super) by_name: Vec<usize>,
    /// What a JSON object has before each value: brace or comma, name and colon.
    pub(super) labels: Vec<Vec<u8>>,
}

/// What TIMETZ stores for an offset of zero.
pub(super) const TIMETZ_OFFSET_MAX_S: i64 = 16 * 60 * 60 - 1;

/// The unit of a timestamp.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// Nanoseconds in one.
    pub(super) const fn nanos(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}

/// A value that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a value of the type {0} cannot be read; cast it, for example to JSON or VARCHAR")]
pub(super) struct Unreadable(&'static str);

/// A column of one chunk. Valid as long as the chunk; see [`Vector::new`].
pub(super) struct Vector {
    data: *const c_void,
    validity: *const u64,
    pub(super) kind: Kind,
}

impl Vector {
    /// Resolves the type of a vector and of all that is in it.
    ///
    /// # Safety
    /// The vector is valid and flat, and stays so as long as the returned value and what is read from it are used.
    pub(super) unsafe fn new(vector: ffi::duckdb_vector) -> Result<Self, Unreadable> {
        // SAFETY: the caller vouches for the vector.
        let logical = unsafe { LogicalType(ffi::duckdb_vector_get_column_type(vector)) };
        // SAFETY: as above; the child vectors asked for are those of the type.
        unsafe {
            Ok(Self {
                kind: kind_of(vector, logical)?,
                data: ffi::duckdb_vector_get_data(vector),
                validity: ffi::duckdb_vector_get_validity(vector),
            })
        }
    }

    /// Whether the row is not NULL.
    #[inline]
    pub(super) fn is_valid(&self, row: usize) -> bool {
        if self.validity.is_null() {
            return true;
        }
        // SAFETY: the mask has a bit for every row of the vector, and rows come from the chunk or its list entries.
        let word = unsafe { *self.validity.add(row / 64) };
        word >> (row % 64) & 1 == 1
    }

    /// The stored value of a row.
    ///
    /// # Safety
    /// `T` is how DuckDB stores this vector's kind, and the row is within the vector.
    #[inline]
    pub(super) unsafe fn value<T: Copy>(&self, row: usize) -> T {
        // SAFETY: the caller vouches for type and row; DuckDB aligns vectors for their type.
        unsafe { *self.data.cast::<T>().add(row) }
    }

    /// The bytes of a row of any kind that DuckDB stores as a string.
    ///
    /// # Safety
    /// The kind is stored as a string, the row is valid and within the vector, and the chunk outlives what is returned.
    #[inline]
    pub(super) unsafe fn bytes<'a>(&self, row: usize) -> &'a [u8] {
        // SAFETY: the caller vouches for kind and row. A string of up to 12 bytes is within the cell itself, which
        // stays in place with the vector; a longer one is where the cell points.
        unsafe {
            let cell = self.data.cast::<ffi::duckdb_string_t>().add(row);
            let length = (*cell).value.inlined.length as usize;
            let start: *const c_char = if length <= 12 {
                (&raw const (*cell).value.inlined.inlined).cast()
            } else {
                (*cell).value.pointer.ptr
            };
            std::slice::from_raw_parts(start.cast(), length)
        }
    }

    /// The 128-bit integer of a row.
    ///
    /// # Safety
    /// As for [`value`](Self::value).
    #[inline]
    pub(super) unsafe fn i128(&self, row: usize) -> i128 {
        // SAFETY: the caller vouches for kind and row.
        let halves: ffi::duckdb_hugeint = unsafe { self.value(row) };
        i128::from(halves.upper) << 64 | i128::from(halves.lower)
    }

    /// The unsigned 128-bit integer of a row.
    ///
    /// # Safety
    /// As for [`value`](Self::value).
    #[inline]
    pub(super) unsafe fn u128(&self, row: usize) -> u128 {
        // SAFETY: the caller vouches for kind and row.
        let halves: ffi::duckdb_uhugeint = unsafe { self.value(row) };
        u128::from(halves.upper) << 64 | u128::from(halves.lower)
    }

    /// The UUID of a row, as its 16 bytes are written. DuckDB stores it with the highest bit turned, to sort by it.
    ///
    /// # Safety
    /// As for [`value`](Self::value).
    #[inline]
    pub(super) unsafe fn uuid(&self, row: usize) -> u128 {
        // SAFETY: the caller vouches for kind and row.
        unsafe { self.u128(row) ^ (1 << 127) }
    }

    /// The word of a row of an enum.
    ///
    /// # Safety
    /// The dictionary is that of this vector's kind, and the row is valid and within the vector.
    #[inline]
    pub(super) unsafe fn word(&self, dictionary: &Dictionary, row: usize) -> Rc<str> {
        // SAFETY: the width is how DuckDB stores the enum; the caller vouches for the rest.
        let number = unsafe {
            match dictionary.width {
                Width::One => self.value::<u8>(row).into(),
                Width::Two => self.value::<u16>(row).into(),
                Width::Four => self.value::<u32>(row),
            }
        };
        dictionary.word(number)
    }

    /// Where a list's items are in its child.
    ///
    /// # Safety
    /// The kind is a list or map, the row valid and within the vector.
    #[inline]
    pub(super) unsafe fn entry(&self, row: usize) -> std::ops::Range<usize> {
        // SAFETY: the caller vouches for kind and row.
        let entry: ffi::duckdb_list_entry = unsafe { self.value(row) };
        #[expect(clippy::cast_possible_truncation, reason = "an offset into memory")]
        let (start, length) = (entry.offset as usize, entry.length as usize);
        start..start + length
    }
}

/// The words of an enum, fetched from DuckDB when first met.
pub(super) struct Dictionary {
    logical: LogicalType,
    width: Width,
    words: RefCell<HashMap<u32, Rc<str>>>,
}

/// How many bytes the number of an enum's word has.
#[derive(Clone, Copy)]
enum Width {
    One,
    Two,
    Four,
}

impl Dictionary {
    /// The word of that number.
    fn word(&self, number: u32) -> Rc<str> {
        let mut words = self.words.borrow_mut();
        let fetch = || {
            // SAFETY: the type is an enum, and the number comes from a vector of it.
            let word = unsafe { Allocated(ffi::duckdb_enum_dictionary_value(self.logical.0, u64::from(number))) };
            Rc::from(word.text())
        };
        Rc::clone(words.entry(number).or_insert_with(fetch))
    }
}

/// An integer of any size, as its bytes say: three of header, then the magnitude, highest byte first; all of them
/// inverted when negative.
pub(super) struct Bignum<'a> {
    pub(super) negative: bool,
    stored: &'a [u8],
}

impl<'a> Bignum<'a> {
    /// Splits a cell. Nothing when it is too short to be one.
    pub(super) fn new(cell: &'a [u8]) -> Option<Self> {
        let (header, stored) = cell.split_at_checked(3)?;
        Some(Self {
            negative: header[0] & 0x80 == 0,
            stored,
        })
    }

    /// The magnitude's bytes, highest first, without leading zeros.
    pub(super) fn magnitude(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        let turn = if self.negative { 0xff } else { 0 };
        self.stored
            .iter()
            .map(move |byte| byte ^ turn)
            .skip_while(|byte| *byte == 0)
    }
}

/// A logical type, destroyed when dropped.
struct LogicalType(ffi::duckdb_logical_type);

impl Drop for LogicalType {
    fn drop(&mut self) {
        // SAFETY: made by DuckDB, destroyed once.
        unsafe { ffi::duckdb_destroy_logical_type(&raw mut self.0) };
    }
}

/// A text that DuckDB allocated for us.
struct Allocated(*mut c_char);

impl Allocated {
    fn text(&self) -> String {
        text_at(self.0)
    }
}

impl Drop for Allocated {
    fn drop(&mut self) {
        // SAFETY: allocated by DuckDB or null, freed once.
        unsafe { ffi::duckdb_free(self.0.cast()) };
    }
}

/// # Safety
/// `logical` is the type of `vector`, which is valid.
unsafe fn kind_of(vector: ffi::duckdb_vector, logical: LogicalType) -> Result<Kind, Unreadable> {
    // SAFETY: the type is valid; what is asked of it below goes with its id.
    let id = unsafe { ffi::duckdb_get_type_id(logical.0) };
    Ok(match id {
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_SQLNULL => Kind::Null,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN => Kind::Boolean,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TINYINT => Kind::I8,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_SMALLINT => Kind::I16,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER => Kind::I32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT => Kind::I64,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_HUGEINT => Kind::I128,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UTINYINT => Kind::U8,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_USMALLINT => Kind::U16,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UINTEGER => Kind::U32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UBIGINT => Kind::U64,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UHUGEINT => Kind::U128,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_FLOAT => Kind::F32,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_DOUBLE => Kind::F64,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGNUM => Kind::Bignum,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BLOB => Kind::Blob,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIT => Kind::Bit,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UUID => Kind::Uuid,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_GEOMETRY => Kind::Geometry,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_DATE => Kind::Date,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME => Kind::Time,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME_NS => Kind::TimeNs,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME_TZ => Kind::TimeTz,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP => Kind::Timestamp(Unit::Micros),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_S => Kind::Timestamp(Unit::Seconds),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_MS => Kind::Timestamp(Unit::Millis),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_NS => Kind::Timestamp(Unit::Nanos),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_TZ => Kind::TimestampTz,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTERVAL => Kind::Interval,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR => {
            // SAFETY: the type is valid; the alias is null or allocated for us.
            let alias = unsafe { Allocated(ffi::duckdb_logical_type_get_alias(logical.0)) };
            if alias.text() == "JSON" { Kind::Json } else { Kind::Text }
        }
        // SAFETY: the type is a decimal.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_DECIMAL => unsafe { decimal(&logical)? },
        // SAFETY: the type is an enum.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_ENUM => unsafe { enumeration(logical)? },
        // SAFETY: a list has a child.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_LIST => unsafe {
            Kind::List(Box::new(Vector::new(ffi::duckdb_list_vector_get_child(vector))?))
        },
        // SAFETY: an array has a child and a size.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_ARRAY => unsafe {
            let items = Vector::new(ffi::duckdb_array_vector_get_child(vector))?;
            #[expect(clippy::cast_possible_truncation, reason = "DuckDB's arrays end at 100,000 items")]
            Kind::Array(Box::new(items), ffi::duckdb_array_type_array_size(logical.0) as usize)
        },
        // SAFETY: as the caller says.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_STRUCT => unsafe { structure(vector, &logical)? },
        // SAFETY: a map is a list of structs of key and value.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_MAP => unsafe {
            let entries = ffi::duckdb_list_vector_get_child(vector);
            let keys = Vector::new(ffi::duckdb_struct_vector_get_child(entries, 0))?;
            let values = Vector::new(ffi::duckdb_struct_vector_get_child(entries, 1))?;
            Kind::Map(Box::new(keys), Box::new(values))
        },
        // SAFETY: as the caller says.
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UNION => unsafe { union(vector, &logical)? },
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARIANT => return Err(Unreadable("VARIANT")),
        _ => return Err(Unreadable("that DuckDB's interface does not show")),
    })
}

/// # Safety
/// The type is a decimal.
unsafe fn decimal(logical: &LogicalType) -> Result<Kind, Unreadable> {
    // SAFETY: the caller vouches for the type.
    let (scale, stored) = unsafe {
        (
            ffi::duckdb_decimal_scale(logical.0),
            ffi::duckdb_decimal_internal_type(logical.0),
        )
    };
    match stored {
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_SMALLINT => Ok(Kind::Decimal16(scale)),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER => Ok(Kind::Decimal32(scale)),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT => Ok(Kind::Decimal64(scale)),
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_HUGEINT => Ok(Kind::Decimal128(scale)),
        _ => Err(Unreadable("DECIMAL in an unknown layout")),
    }
}

/// # Safety
/// The type is an enum.
unsafe fn enumeration(logical: LogicalType) -> Result<Kind, Unreadable> {
    // SAFETY: the caller vouches for the type.
    let stored = unsafe { ffi::duckdb_enum_internal_type(logical.0) };
    let width = match stored {
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UTINYINT => Width::One,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_USMALLINT => Width::Two,
        ffi::DUCKDB_TYPE_DUCKDB_TYPE_UINTEGER => Width::Four,
        _ => return Err(Unreadable("ENUM in an unknown layout")),
    };
    Ok(Kind::Enum(Dictionary {
        logical,
        width,
        words: RefCell::default(),
    }))
}

/// # Safety
/// The vector is valid and of that type, a struct.
unsafe fn structure(vector: ffi::duckdb_vector, logical: &LogicalType) -> Result<Kind, Unreadable> {
    // SAFETY: the caller vouches for the type.
    let count = unsafe { ffi::duckdb_struct_type_child_count(logical.0) };
    // SAFETY: the index is below the count, and the vector is the type's.
    let field = |index| unsafe {
        let name = Allocated(ffi::duckdb_struct_type_child_name(logical.0, index)).text();
        Ok((name, Vector::new(ffi::duckdb_struct_vector_get_child(vector, index))?))
    };
    let fields = (0..count).map(field).collect::<Result<Vec<_>, Unreadable>>()?;
    let mut by_name: Vec<usize> = (0..fields.len()).collect();
    // Stable, so that the unnamed fields of a tuple keep their order.
    by_name.sort_by(|a, b| fields[*a].0.cmp(&fields[*b].0));
    let labels = fields
        .iter()
        .enumerate()
        .map(|(index, (name, _))| json::label(index == 0, name))
        .collect();
    Ok(Kind::Struct(Fields {
        all: fields,
        by_name,
        labels,
    }))
}

/// # Safety
/// The vector is valid and of that type, a union.
unsafe fn union(vector: ffi::duckdb_vector, logical: &LogicalType) -> Result<Kind, Unreadable> {
    // SAFETY: a union is stored as a struct of the member's number and the members.
    let (count, tags) = unsafe {
        (
            ffi::duckdb_union_type_member_count(logical.0),
            Vector::new(ffi::duckdb_struct_vector_get_child(vector, 0))?,
        )
    };
    // SAFETY: the index is below the count; the first child is the number of the member.
    let member = |index| unsafe {
        let name = Allocated(ffi::duckdb_union_type_member_name(logical.0, index)).text();
        Ok((
            name,
            Vector::new(ffi::duckdb_struct_vector_get_child(vector, index + 1))?,
        ))
    };
    let members = (0..count).map(member).collect::<Result<Vec<_>, Unreadable>>()?;
    Ok(Kind::Union(Box::new(tags), members))
}
