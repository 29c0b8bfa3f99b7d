//! A curl command, as API clients and browsers copy it.

use super::captured::Captured;

/// Options of curl that take a value and say nothing of the request.
const VALUED: &[&str] = &[
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-w",
    "--write-out",
    "--retry",
    "-x",
    "--proxy",
    "--cacert",
    "--cert",
    "--key",
    "--resolve",
    "-b",
    "--cookie",
    "-c",
    "--cookie-jar",
    "--limit-rate",
];

pub(super) fn is_curl(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"$ ").unwrap_or(text);
    text.strip_prefix(b"curl").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
}

pub(super) fn parse(text: &[u8]) -> Result<Captured, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the curl command is not UTF-8")?.trim();
    let mut words = words(text.strip_prefix("$ ").unwrap_or(text))?.into_iter().skip(1);
    let mut captured = Captured::default();
    let (mut data, mut by_query): (Vec<String>, bool) = (vec![], false);
    while let Some(word) = words.next() {
        let (option, glued) = option_and_value(&word);
        let mut value =
            || glued.clone().or_else(|| words.next()).ok_or_else(|| format!("{option} has no value"));
        match option.as_str() {
            "-X" | "--request" => captured.method = value()?,
            "-H" | "--header" => add_header(&mut captured, &value()?)?,
            "-A" | "--user-agent" => captured.add("user-agent", value()?.as_bytes())?,
            "-u" | "--user" => captured.add("authorization", basic(&value()?).as_bytes())?,
            "-d" | "--data" | "--data-ascii" | "--data-raw" | "--data-binary" | "--data-urlencode" => {
                data.push(posted(&option, value()?)?);
            }
            "--json" => {
                data.push(posted(&option, value()?)?);
                captured.add("content-type", b"application/json")?;
            }
            "-F" | "--form" => return Err("forms of -F get a boundary that is new each time: keep the body in a file and name it with --body".to_owned()),
            "-G" | "--get" => by_query = true,
            "-I" | "--head" => "HEAD".clone_into(&mut captured.method),
            "--url" => captured.url = value()?,
            _ if VALUED.contains(&option.as_str()) => drop(value()?),
            _ if option.starts_with('-') => {}
            _ => captured.url = word,
        }
    }
    if captured.url.is_empty() {
        return Err("the curl command names no URL".to_owned());
    }
    if !captured.url.contains("://") {
        captured.url.insert_str(0, "http://");
    }
    let data = data.join("&");
    if by_query && !data.is_empty() {
        captured.url.push(if captured.url.contains('?') { '&' } else { '?' });
        captured.url.push_str(&data);
    } else {
        if !data.is_empty() && !captured.headers.contains_key("content-type") {
            captured.add("content-type", b"application/x-www-form-urlencoded")?;
        }
        captured.body = data.into_bytes();
    }
    if captured.method.is_empty() {
        let usual = if captured.body.is_empty() { "GET" } else { "POST" };
        usual.clone_into(&mut captured.method);
    }
    Ok(captured)
}

/// `-XPOST` and `--request=POST` hold their value.
fn option_and_value(word: &str) -> (String, Option<String>) {
    if let Some(rest) = word.strip_prefix("--") {
        return match rest.split_once('=') {
            Some((name, value)) => (format!("--{name}"), Some(value.to_owned())),
            None => (word.to_owned(), None),
        };
    }
    match word.get(..2) {
        Some(short @ ("-X" | "-H" | "-d" | "-u" | "-A")) if word.len() > 2 => {
            (short.to_owned(), Some(word[2..].to_owned()))
        }
        _ => (word.to_owned(), None),
    }
}

/// curl sends an empty header for `Name;`.
fn add_header(captured: &mut Captured, text: &str) -> Result<(), String> {
    match text.strip_suffix(';').filter(|name| !name.contains(':')) {
        Some(name) => captured.add(name, b""),
        None => captured.add_line(text.as_bytes()),
    }
}

fn posted(option: &str, value: String) -> Result<String, String> {
    match value.strip_prefix('@').filter(|_| option != "--data-raw") {
        Some(file) => Err(format!("the curl command reads its body from {file}: name that file with --body")),
        None => Ok(value),
    }
}

fn basic(user: &str) -> String {
    posthaste_signature::provider::basic_credentials(user)
}

/// The words as a shell would make them: quotes, `$'…'` and backslashes.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => quoted(&mut letters, word.get_or_insert_default())?,
            '$' if letters.peek() == Some(&'\'') => {
                letters.next();
                escaped(&mut letters, word.get_or_insert_default())?;
            }
            '"' => double_quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => match letters.next() {
                Some('\n') | None => {}
                Some('\r') if letters.peek() == Some(&'\n') => drop(letters.next()),
                Some(other) => word.get_or_insert_default().push(other),
            },
            _ if letter.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

const OPEN: &str = "a quote in the curl command is not closed";

fn quoted(letters: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next().ok_or(OPEN)? {
            '\'' => return Ok(()),
            letter => word.push(letter),
        }
    }
}

fn double_quoted(letters: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next().ok_or(OPEN)? {
            '"' => return Ok(()),
            '\\' => match letters.next().ok_or(OPEN)? {
                '\n' => {}
                letter @ ('"' | '\\' | '$' | '`') => word.push(letter),
                letter => word.extend(['\\', letter]),
            },
            letter => word.push(letter),
        }
    }
}

/// `$'…'`, which browsers use for bodies with quotes in them.
fn escaped(letters: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next().ok_or(OPEN)? {
            '\'' => return Ok(()),
            '\\' => match letters.next().ok_or(OPEN)? {
                'n' => word.push('\n'),
                'r' => word.push('\r'),
                't' => word.push('\t'),
                'u' => word.push(code_point(letters, 4)?),
                'x' => word.push(code_point(letters, 2)?),
                letter => word.push(letter),
            },
            letter => word.push(letter),
        }
    }
}

fn code_point(letters: &mut impl Iterator<Item = char>, digits_count: usize) -> Result<char, String> {
    let digits: String = letters.take(digits_count).collect();
    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
    code.ok_or_else(|| format!("\"{digits}\" in the curl command stands for no letter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_command_is_read_as_a_shell_would() {
        let text = br#"$ curl -XPOST 'https://a.example/in?x=1' \
            -H 'X-Sig: t=1,v1=2' --header "Content-Type: application/json" -H 'Empty;' --compressed -s \
            --data-raw $'{"a":"it\'s \u00e9\n"}'"#;
        let captured = parse(text).unwrap();
        assert_eq!((captured.method.as_str(), captured.url.as_str()), ("POST", "https://a.example/in?x=1"));
        assert_eq!(captured.headers["x-sig"], "t=1,v1=2");
        assert_eq!(captured.headers["empty"], "");
        assert_eq!(captured.body, "{\"a\":\"it's é\n\"}".as_bytes());
    }

    #[test]
    fn what_curl_adds_is_added() {
        let captured = parse(b"curl localhost:3000/in -d a=1 -d b=2 -u me:hush").unwrap();
        assert_eq!(captured.url, "http://localhost:3000/in");
        assert_eq!(captured.body, b"a=1&b=2");
        assert_eq!(captured.headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(captured.headers["authorization"], "Basic bWU6aHVzaA==");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(parse(b"curl 'https://a.example").unwrap_err().contains("not closed"));
        assert!(parse(b"curl -d @body.json https://a.example").unwrap_err().contains("--body"));
        assert!(parse(b"curl -s").unwrap_err().contains("no URL"));
    }
}
