//! A plugin for tests, written as WebAssembly text: what it does with a batch is said by a letter in the first
//! record's key. Everything that it answers lies in its memory from the start, laid out by the canonical ABI.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where data begins, where a megabyte of zeros is, where lists of effects are built, and where allocation begins.
const DATA: u32 = 0x1_0000;
const ZEROS: u32 = 0x10_0000;
const LIST: u32 = 0x20_0000;
const HEAP: u32 = 0x30_0000;

/// The operation key for a letter.
pub fn key(letter: char) -> String {
    format!(r#"{{"k":"{letter}"}}"#)
}

/// The component, toward a receiver at that origin. `package` is its contract's version.
pub fn component(origin: &str, package: &str) -> Vec<u8> {
    let wit = include_str!("../../../wit/destination.wit").replace("@0.1.0;", &format!("@{package};"));
    encode(&wit, &module(origin, package))
}

/// A component of a world of its own.
pub fn foreign(wit: &str, module: &str) -> Vec<u8> {
    encode(wit, module)
}

fn encode(wit: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("guest.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

/// Static memory.
#[derive(Default)]
struct Data(Vec<u8>);

impl Data {
    fn block(&mut self, words: &[u32]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = DATA + self.0.len() as u32;
        for word in words {
            self.0.extend_from_slice(&word.to_le_bytes());
        }
        at
    }

    fn text(&mut self, text: &str) -> [u32; 2] {
        let at = DATA + self.0.len() as u32;
        self.0.extend_from_slice(text.as_bytes());
        [at, text.len() as u32]
    }

    fn post(&mut self, url: &str) -> [u32; 15] {
        let (method, url) = (self.text("POST"), self.text(url));
        let (name, value) = (self.text("authorization"), self.text("none"));
        let headers = self.block(&[name, value].concat());
        let body = self.text(r#"{"a":1}"#);
        // http; method, url, headers; text; covers the batch; no time-out.
        [
            0, method[0], method[1], url[0], url[1], headers, 1, 1, body[0], body[1], 1, 0, 0, 0, 0,
        ]
    }

    fn perform(&mut self, effects: &[u32], length: u32) -> u32 {
        let list = self.block(effects);
        self.block(&[&[0, list, length], [0; 16].as_slice()].concat())
    }

    fn done(&mut self, answer: &[u32]) -> u32 {
        self.block(&[&[1], answer, [0; 16].as_slice()].concat())
    }

    fn written(&mut self, outcomes: &[[u32; 8]]) -> u32 {
        let list = self.block(outcomes.as_flattened());
        self.done(&[3, list, outcomes.len() as u32])
    }
}

fn module(origin: &str, package: &str) -> String {
    let data = &mut Data::default();
    let [name, version, summary, schema] =
        ["hostile", "1.0.0", "Misbehaves.", r#"{"type":"object"}"#].map(|text| data.text(text));
    // No example, no secrets, every kind, no abilities.
    let describe = data.block(&[&name[..], &version, &summary, &schema, &[0, 0, 0, 0, 0b11111]].concat());
    // Every kind; 10 records, 1 MB, 8 in flight; counts at the batch, exact, nothing else.
    let (place, origin_text) = (data.text("there"), data.text(origin));
    let origins = data.block(&origin_text);
    let open = data.block(&[0, 0b11111, 10, 1 << 20, 8, 0, 0, 0, place[0], place[1], origins, 1]);
    let account = data.text("acme");
    let checked = data.done(&[0, 1, account[0], account[1]]);
    let accepted = data.written(&[[0; 8]]);
    let twice = data.written(&[[0; 8]; 2]);
    let pending_handle = data.text("job-1");
    let pending = data.written(&[[6, pending_handle[0], pending_handle[1], 0, 0, 0, 0, 0]]);
    let code = data.text("refused");
    let rejected = [1, code[0], code[1], 0, 0, 0, 0, 0];
    let rejection = data.block(&rejected);
    let rejecting = data.done(&[3, rejection, 1]);
    let ok = data.post(&format!("{origin}/ok"));
    let ok = data.perform(&ok, 1);
    let slow = data.post(&format!("{origin}/slow"));
    let slow = data.perform(&slow, 1);
    let echo = data.post(&format!("{origin}/echo"));
    let echo_headers = echo[5];
    let echo = data.perform(&echo, 1);
    let metadata = data.post("http://169.254.169.254/latest");
    let metadata = data.perform(&metadata, 1);
    let wait = data.perform(&[4, 0], 1);
    let varying = data.block(&[4, 0]);
    let vary = data.block(&[&[0, varying, 1], [0; 16].as_slice()].concat());
    let many = data.block(&[&[0, ZEROS, 5_000], [0; 16].as_slice()].concat());
    let giant = data.block(&[&[0, LIST, 4_000], [0; 16].as_slice()].concat());
    let complaint = data.text("about to trap");
    let bytes: String = data.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let letter = |letter: char| letter as u32;
    let case = |of: char, body: &str| format!("(if (i32.eq (local.get $c) (i32.const {})) (then {body}))", letter(of));
    let give = |of: char, step: u32| case(of, &format!("(return (i32.const {step}))"));
    let starts = [
        give('r', ok),
        give('q', slow),
        give('k', echo),
        give('x', metadata),
        give('p', wait),
        give('e', many),
        give('w', twice),
        give('z', pending),
        case('l', "(loop $forever (br $forever))"),
        case(
            'm',
            "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
        ),
        case('s', "(drop (call $deep (i32.const 0)))"),
        case(
            't',
            &format!(
                "(call $log (i32.const 3) (i32.const {}) (i32.const {})) unreachable",
                complaint[0], complaint[1]
            ),
        ),
        // Depends on how often this instance was asked: 250 ms the first time, 50 less each further time.
        case(
            'n',
            &format!(
                "(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
                 (i32.store (i32.const {}) (i32.sub (i32.const 300) (i32.mul (i32.const 50) (global.get $asked))))
                 (return (i32.const {vary}))",
                varying + 4
            ),
        ),
        // Four thousand names of files, each a megabyte long, all in the same place.
        case(
            'g',
            &format!(
                "(loop $next
                   (local.set $at (i32.add (i32.const {LIST}) (i32.mul (local.get $i) (i32.const 60))))
                   (i32.store (local.get $at) (i32.const 3))
                   (i32.store offset=4 (local.get $at) (i32.const {ZEROS}))
                   (i32.store offset=8 (local.get $at) (i32.const 0x10_0000))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $next (i32.lt_u (local.get $i) (i32.const 4000))))
                 (return (i32.const {giant}))"
            ),
        ),
    ]
    .join("\n");
    let message = |at: u32| {
        format!(
            "(i32.store (i32.const {0}) (i32.load offset={at} (local.get $results)))
             (i32.store (i32.const {1}) (i32.load offset={2} (local.get $results)))
             (return (i32.const {rejecting}))",
            rejection + 12,
            rejection + 16,
            at + 4
        )
    };
    let resumes = [
        case('r', "unreachable"),
        give('p', wait),
        case('k', &message(16)),
        case('x', &message(8)),
    ]
    .join("\n");
    format!(
        r#"(module
  (import "outflow:destination/log@{package}" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") 64)
  (data (i32.const {DATA}) "{bytes}")
  (global $heap (mut i32) (i32.const {HEAP}))
  (global $asked (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))))
    (local.get $at))
  (func $deep (param i32) (result i32)
    (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))
  (func (export "outflow:destination/plugin@{package}#describe") (result i32) (i32.const {describe}))
  (func (export "outflow:destination/plugin@{package}#open") (param $settings i32) (result i32)
    (local $secret i32)
    ;; The first secret's placeholder becomes the value of the header of `echo`.
    (if (i32.load offset=44 (local.get $settings)) (then
      (local.set $secret (i32.load offset=40 (local.get $settings)))
      (i32.store (i32.const {value}) (i32.load offset=8 (local.get $secret)))
      (i32.store (i32.const {value_length}) (i32.load offset=12 (local.get $secret)))))
    (i32.const {open}))
  (func (export "outflow:destination/plugin@{package}#start")
    (param $task i32) (param i64 i64) (param $work i32) (param $list i32) (param $length i32) (result i32)
    (local $c i32) (local $i i32) (local $at i32)
    (if (i32.ne (local.get $work) (i32.const 3)) (then (return (i32.const {checked}))))
    (local.set $c (i32.load8_u offset=6 (i32.load offset=4 (local.get $list))))
    (i32.store8 (i32.and (local.get $task) (i32.const 0xfff)) (local.get $c))
    {starts}
    (i32.const {ok}))
  (func (export "outflow:destination/plugin@{package}#resume")
    (param $task i32) (param i64) (param $results i32) (param $length i32) (result i32)
    (local $c i32)
    (local.set $c (i32.load8_u (i32.and (local.get $task) (i32.const 0xfff))))
    {resumes}
    (i32.const {accepted}))
  (func (export "outflow:destination/plugin@{package}#cancel") (param i32)))"#,
        value = echo_headers + 8,
        value_length = echo_headers + 12,
    )
}
