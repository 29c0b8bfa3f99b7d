//! The terminal of the view: taken over, drawn on, read from, and given back whatever happens.

use std::io::{self, IsTerminal as _, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show, position};
use crossterm::event::{self, KeyEvent, KeyEventKind};
use crossterm::style::{Attribute, Color as Colour, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    Clear, ClearType as Clearing, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;
use tokio::sync::mpsc;

use super::View;
use crate::listen::colour::{self, Paint};
use crate::listen::event::Event;
use crate::listen::screen::Action;

/// How often the thread that reads keys looks whether it is still wanted.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// Keys that wait to be looked at.
const KEYS_MAX: usize = 64;

/// Whether the terminal is ours now. One process has one terminal, and a panic has no arguments.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The view on the terminal.
pub(crate) struct Stage {
    view: View,
    terminal: Terminal<Drawn>,
    keys: mpsc::Receiver<Pressed>,
}

/// What the terminal says.
enum Pressed {
    Key(KeyEvent),
    Resized,
}

impl Stage {
    /// Takes the terminal, or says why it cannot.
    pub(crate) fn take(view: View) -> Result<Self, String> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err("standard input and output are no terminal".to_owned());
        }
        if colour::is_dumb() {
            return Err("TERM is dumb".to_owned());
        }
        give_back_in_a_panic();
        begin().map_err(|error| error.to_string())?;
        let paints = Paint::of(&io::stdout()).is_on();
        let terminal = Terminal::new(Drawn { out: io::stdout(), paints }).inspect_err(|_| give_back());
        let terminal = terminal.map_err(|error| error.to_string())?;
        let (pressed, keys) = mpsc::channel(KEYS_MAX);
        std::thread::spawn(move || read_keys(&pressed));
        let mut stage = Self { view, terminal, keys };
        stage.draw();
        Ok(stage)
    }

    pub(crate) fn show(&mut self, event: &Event) {
        self.view.take(event);
        self.draw();
    }

    /// The next thing that a key asks for and the view cannot do.
    pub(crate) async fn action(&mut self) -> Action {
        while let Some(pressed) = self.keys.recv().await {
            let asked = match pressed {
                Pressed::Key(key) => self.view.press(key),
                Pressed::Resized => None,
            };
            self.draw();
            if let Some(action) = asked {
                return action;
            }
        }
        // Nobody can press a key any more: the terminal is gone.
        Action::Quit
    }

    fn draw(&mut self) {
        let view = &mut self.view;
        // A terminal that is gone is noticed where its keys are read.
        let _ = self.terminal.draw(|frame| view.draw(frame.area(), frame.buffer_mut()));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        give_back();
    }
}

fn begin() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, Hide, Clear(Clearing::All)).inspect_err(|_| give_back())
}

/// The terminal as it was. Twice is once.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// What a panic says can then be read.
fn give_back_in_a_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panicked| {
        give_back();
        before(panicked);
    }));
}

fn read_keys(pressed: &mpsc::Sender<Pressed>) {
    while !pressed.is_closed() {
        match event::poll(KEY_WAIT) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let said = match event::read() {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => Pressed::Key(key),
            Ok(event::Event::Resize(..)) => Pressed::Resized,
            Ok(_) => continue,
            Err(_) => return,
        };
        if pressed.blocking_send(said).is_err() {
            return;
        }
    }
}

/// Writes cells to standard output.
struct Drawn {
    out: Stdout,
    /// Without colours there is still bold, faint and reversed.
    paints: bool,
}

impl Drawn {
    fn dress(&mut self, cell: &Cell) -> io::Result<()> {
        queue!(self.out, SetAttribute(Attribute::Reset))?;
        for (modifier, attribute) in [
            (Modifier::BOLD, Attribute::Bold),
            (Modifier::DIM, Attribute::Dim),
            (Modifier::REVERSED, Attribute::Reverse),
        ] {
            if cell.modifier.contains(modifier) {
                queue!(self.out, SetAttribute(attribute))?;
            }
        }
        let colour = match cell.fg {
            Color::Green => Some(Colour::DarkGreen),
            Color::Yellow => Some(Colour::DarkYellow),
            Color::Red => Some(Colour::DarkRed),
            _ => None,
        };
        match colour.filter(|_| self.paints) {
            Some(colour) => queue!(self.out, SetForegroundColor(colour)),
            None => Ok(()),
        }
    }
}

impl Backend for Drawn {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let (mut next, mut worn) = (None, None);
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                queue!(self.out, MoveTo(x, y))?;
            }
            if worn != Some((cell.fg, cell.modifier)) {
                self.dress(cell)?;
                worn = Some((cell.fg, cell.modifier));
            }
            queue!(self.out, Print(cell.symbol()))?;
            // What is wider than one column may move the cursor further than we think.
            next = cell.symbol().is_ascii().then_some((x + 1, y));
        }
        queue!(self.out, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.out, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.out, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        position().map(Position::from)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.out, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        execute!(self.out, Clear(Clearing::All))
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        let clearing = match clear_type {
            ClearType::All => Clearing::All,
            ClearType::AfterCursor => Clearing::FromCursorDown,
            ClearType::BeforeCursor => Clearing::FromCursorUp,
            ClearType::CurrentLine => Clearing::CurrentLine,
            ClearType::UntilNewLine => Clearing::UntilNewLine,
        };
        execute!(self.out, Clear(clearing))
    }

    fn size(&self) -> io::Result<Size> {
        size().map(Size::from)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
