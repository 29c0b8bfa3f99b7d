//! What is on the screen after keys and events, cell by cell.

use std::time::Duration;

use bytes::Bytes;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use posthaste_core::time::Timestamp;
use posthaste_tunnel::frame::{FailedKind, Headers, Request};
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::*;
use crate::listen::event::{Outcome, Went};
use crate::listen::screen::Action;
use crate::listen::target::Target;

const AT: Timestamp = Timestamp::from_micros(1_794_407_538_402_000);

struct Shown {
    view: View,
    terminal: Terminal<TestBackend>,
}

impl Shown {
    fn of(sources: &[&str], width: u16, height: u16) -> Self {
        let labels = Labels {
            of: sources.iter().map(|source| (*source).to_owned()).collect(),
            name: "laptop".to_owned(),
            target: Target::parse(":3000/webhooks", None).unwrap(),
            public_urls: sources.iter().map(|_| Some("http://hooks.example/in/x".to_owned())).collect(),
            providers: sources
                .iter()
                .map(|source| Some((*source).to_owned()).filter(|one| one != "hooks"))
                .collect(),
        };
        Self { view: View::new(labels), terminal: Terminal::new(TestBackend::new(width, height)).unwrap() }
    }

    fn press(&mut self, keys: &str) -> Option<Action> {
        let mut asked = None;
        for key in keys.split(' ') {
            let code = match key {
                "Enter" => KeyCode::Enter,
                "Esc" => KeyCode::Esc,
                "Tab" => KeyCode::Tab,
                "Up" => KeyCode::Up,
                "PgDn" => KeyCode::PageDown,
                letter => KeyCode::Char(letter.chars().next().unwrap()),
            };
            asked = self.view.press(KeyEvent::new(code, KeyModifiers::NONE));
            self.lines();
        }
        asked
    }

    fn came(&mut self, number: usize, kind: &str, body: &'static [u8]) {
        let request = Request {
            id: format!("msg_{number}:ep_1"),
            attempt: 1,
            message: format!("msg_{number}"),
            event_type: kind.to_owned(),
            method: "POST".to_owned(),
            path: "/x".to_owned(),
            query: "a=1".to_owned(),
            headers: Headers(vec![("x-a".to_owned(), Bytes::from_static(b"it's"))]),
            body: Bytes::from_static(body),
        };
        self.view.take(&Event::Came { wire: 0, at: AT, request: Box::new(request) });
    }

    fn went(&mut self, number: usize, outcome: Outcome) {
        let went = Went {
            key: (format!("msg_{number}:ep_1"), 1),
            message: format!("msg_{number}"),
            to: "POST :3000/webhooks".to_owned(),
            took: Duration::from_millis(45),
            outcome,
        };
        self.view.take(&Event::Went { wire: 0, at: AT, went: Box::new(went) });
    }

    fn answered(&mut self, number: usize, status: u16, body: &'static str) {
        let body = Bytes::from_static(body.as_bytes());
        self.went(number, Outcome::Answered { status, headers: Headers::default(), body, truncated: false });
    }

    fn state(&mut self, wire: usize, state: State) {
        self.view.take(&Event::State { wire, state });
    }

    /// The screen, line by line, without the blanks at their ends.
    fn lines(&mut self) -> Vec<String> {
        let view = &mut self.view;
        self.terminal.draw(|frame| view.draw(frame.area(), frame.buffer_mut())).unwrap();
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let rows = buffer.content.chunks(width);
        rows.map(|row| row.iter().map(ratatui_core::buffer::Cell::symbol).collect::<String>())
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    /// The line of the cursor.
    fn cursor(&mut self) -> String {
        let lines = self.lines();
        let buffer = self.terminal.backend().buffer();
        let reversed = |y: usize| {
            let cell = &buffer.content[y * usize::from(buffer.area.width)];
            cell.modifier.contains(ratatui_core::style::Modifier::REVERSED)
        };
        (0..lines.len()).find(|y| reversed(*y)).map(|y| lines[y].clone()).unwrap_or_default()
    }
}

#[test]
fn the_list_says_what_came_what_was_answered_and_how_it_stands() {
    let mut shown = Shown::of(&["stripe"], 100, 9);
    shown.state(0, State::Ready { waiting: 2 });
    shown.came(1, "charge.succeeded", b"{}");
    shown.answered(1, 200, "ok");
    shown.came(2, "charge.failed", b"{}");
    shown.answered(2, 500, "TypeError: x\x1b[2J");
    shown.came(3, "customer.created", b"{}");
    shown.went(3, Outcome::Failed { kind: FailedKind::Connect, detail: "refused".to_owned() });
    shown.came(4, "ping", b"");
    assert_eq!(
        shown.lines(),
        [
            " stripe → http://127.0.0.1:3000/webhooks                                      2 forwarded, 2 failed",
            " time          type                               status       took",
            " 14:32:18.402  charge.succeeded                   200         45 ms",
            " 14:32:18.402  charge.failed                      500         45 ms  TypeError: x\\u{1b}[2J",
            " 14:32:18.402  customer.created                   connect     45 ms  refused",
            " 14:32:18.402  ping                               …",
            "",
            "",
            " ready, 2 waiting       ↑↓ move  Enter details  r replay  c curl  / filter  f follow  ? keys  q end",
        ]
    );
    assert!(shown.cursor().contains("ping"));
    shown.state(0, State::Ready { waiting: 1_000_000 });
    assert_eq!(shown.lines()[8], " ready, 1000000 waiting", "the state has the room before the keys");
}

#[test]
fn the_state_is_always_on_the_last_line_and_true() {
    let mut shown = Shown::of(&["stripe"], 100, 9);
    assert_eq!(shown.lines()[8].split("  ").next(), Some(" connecting"));
    assert_eq!(shown.lines()[5], " posthaste trigger stripe --secret SECRET --to http://hooks.example/in/x");
    let mut unsigned = Shown::of(&["hooks"], 100, 9);
    assert_eq!(unsigned.lines()[5], " curl -d '{\"hello\":\"world\"}' http://hooks.example/in/x");
    let away =
        State::Reconnecting { attempt: 3, offline: Duration::from_secs(40), why: "it closed".to_owned() };
    shown.state(0, away.clone());
    for keys in ["?", "x", "/", "a", "Esc"] {
        shown.press(keys);
        assert!(shown.lines()[8].starts_with(" reconnecting (attempt 3, offline 40 s): it closed"));
    }
    let mut two = Shown::of(&["stripe", "github"], 100, 9);
    two.state(0, State::Ready { waiting: 0 });
    two.state(1, away);
    assert!(two.lines()[8].starts_with(" 1 of 2 ready; github: reconnecting"), "{:?}", two.lines());
    two.state(1, State::Ready { waiting: 0 });
    assert!(two.lines()[8].starts_with(" ready, all 2"));
}

#[test]
fn details_show_both_sides_and_stay_while_others_come() {
    let mut shown = Shown::of(&["stripe"], 60, 14);
    shown.came(1, "charge.succeeded", br#"{"id":"ch_1"}"#);
    shown.answered(1, 422, "no such\ncharge");
    shown.press("Enter");
    shown.came(2, "other", b"");
    let lines = shown.lines();
    assert_eq!(lines[1], " [Request]  Response    msg_1");
    assert_eq!(lines[2], " POST http://127.0.0.1:3000/webhooks/x?a=1");
    assert_eq!(lines[4..9], [" x-a: it's", "", " {", "   \"id\": \"ch_1\"", " }"]);
    shown.press("Tab");
    let lines = shown.lines();
    assert_eq!(lines[1], "  Request  [Response]   msg_1");
    assert_eq!((&lines[2][..], &lines[5][..], &lines[6][..]), (" 422 after 45 ms", " no such", " charge"));
    assert_eq!(shown.press("r"), Some(Action::Replay { wire: 0, message: "msg_1".to_owned() }));
    assert_eq!(shown.lines()[12], " msg_1 is asked for again");
    assert_eq!(shown.press("q"), None);
    assert!(shown.cursor().contains("other"), "the newest is followed again");
    assert_eq!(shown.press("q"), Some(Action::Quit));
}

#[test]
fn a_long_body_is_scrolled_and_never_past_its_end() {
    let mut shown = Shown::of(&["stripe"], 40, 10);
    let body: &'static str = (0..100).map(|line| format!("line {line}\n")).collect::<String>().leak();
    shown.came(1, "text", body.as_bytes());
    shown.press("Enter G");
    assert_eq!(shown.lines()[7], " line 99");
    shown.press("j j j k");
    assert_eq!(shown.lines()[7], " line 98");
    shown.press("g PgDn");
    assert_eq!(shown.lines()[2], " line 1");
}

#[test]
fn a_curl_command_sends_the_same() {
    let mut shown = Shown::of(&["stripe"], 100, 12);
    shown.came(1, "charge.succeeded", b"{}");
    shown.press("c");
    let lines = shown.lines();
    assert_eq!(lines[2], " curl -X POST 'http://127.0.0.1:3000/webhooks/x?a=1' \\");
    assert_eq!(lines[3..5], ["   -H 'x-a: it'\\''s' \\", "   --data-raw '{}'"]);
    shown.came(2, "binary", b"\xFF\x00");
    shown.press("Esc G c");
    assert!(shown.lines()[2].contains("the body is no text"), "{:?}", shown.lines());
}

#[test]
fn the_cursor_moves_follows_and_stays() {
    let mut shown = Shown::of(&["stripe"], 100, 9);
    for number in 0..50 {
        shown.came(number, &format!("type.{number}"), b"");
    }
    assert!(shown.cursor().contains("type.49"));
    shown.press("k k");
    assert!(shown.cursor().contains("type.47"));
    shown.came(50, "type.50", b"");
    assert!(shown.cursor().contains("type.47"), "it stays where it was put");
    shown.press("g");
    assert!(shown.cursor().contains("type.0"));
    shown.press("PgDn");
    assert!(shown.cursor().contains("type.5"), "{}", shown.cursor());
    shown.press("G");
    shown.came(51, "type.51", b"");
    assert!(shown.cursor().contains("type.51"), "who goes to the end follows");
    shown.press("f");
    shown.came(52, "type.52", b"");
    assert!(shown.cursor().contains("type.51"));
}

#[test]
fn a_filter_shows_only_what_has_its_letters() {
    let mut shown = Shown::of(&["stripe"], 100, 9);
    for number in 0..6 {
        shown.came(number, if number % 2 == 0 { "order.paid" } else { "user.created" }, b"");
        shown.answered(number, if number == 3 { 503 } else { 200 }, "");
    }
    shown.press("/ P A I D Enter");
    let kinds = |shown: &mut Shown| shown.lines()[2..7].iter().filter(|line| line.contains("14:32")).count();
    assert_eq!(kinds(&mut shown), 3);
    assert_eq!(shown.lines()[7], " only with \"PAID\"");
    shown.press("Esc");
    shown.press("/ 5 0 3 Enter");
    assert_eq!(kinds(&mut shown), 1);
    shown.press("/ x");
    assert!(shown.lines()[3].contains("nothing of 6 has \"503x\""), "{:?}", shown.lines());
    shown.press("Esc");
    assert_eq!(kinds(&mut shown), 5);
}

#[test]
fn a_thousand_rows_are_kept_and_small_screens_do_no_harm() {
    let mut shown = Shown::of(&["stripe", "github"], 100, 9);
    for number in 0..1_200 {
        shown.came(number, "t", b"");
    }
    assert_eq!(shown.view.rows.len(), ROWS_MAX);
    for (width, height) in [(1, 1), (20, 5), (21, 6), (300, 100)] {
        shown.terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        for keys in ["Enter", "Tab", "Esc", "c", "Esc", "?", "x", "/", "Esc"] {
            shown.press(keys);
            shown.lines();
        }
    }
}

#[test]
fn control_c_ends_it_wherever_one_is() {
    for keys in ["?", "/", "Enter", "c"] {
        let mut shown = Shown::of(&["stripe"], 100, 9);
        shown.came(1, "t", b"");
        shown.press(keys);
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(shown.view.press(key), Some(Action::Quit));
    }
}
