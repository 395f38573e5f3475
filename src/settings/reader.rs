//! Reads texts into values, each by its row of the table. Collects every problem instead of stopping
//! at the first; a wrong value is then replaced by any of its type, since nothing will start.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hub::money::{Amount, Currency, Rate};

use super::problem::Problem;
use super::source::{Given, Origin, Sources, read};
use super::table::{Kind, Setting, settings};

/// An API key as it was configured. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the control plane's database is.
#[derive(Clone, Debug)]
pub struct DatabaseUrl(Secret);

impl DatabaseUrl {
    /// Whether several processes may use it at once.
    pub fn is_server(&self) -> bool {
        !self.reveal().starts_with("sqlite:")
    }

    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once("://") {
            Some(("sqlite" | "postgres" | "postgresql", rest)) if !rest.is_empty() => {
                Ok(Self(Secret(text.to_owned())))
            }
            _ => Err("no database that is known"),
        }
    }
}

/// A certificate chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// One setting as it is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    pub setting: &'static Setting,
    /// `None`: unset.
    pub given: Option<Given>,
}

/// Takes settings out of the sources, one by one.
pub struct Reader<'a> {
    sources: &'a Sources,
    problems: &'a mut Vec<Problem>,
    in_force: Vec<InForce>,
}

impl<'a> Reader<'a> {
    pub const fn new(sources: &'a Sources, problems: &'a mut Vec<Problem>) -> Self {
        Self { sources, problems, in_force: Vec::new() }
    }

    /// Everything that was read, in the order of reading.
    pub fn finish(self) -> Vec<InForce> {
        self.in_force
    }

    pub fn address(&mut self, name: &str) -> SocketAddr {
        self.value(name, |_, text| text.parse().ok())
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn directory(&mut self, name: &str) -> PathBuf {
        let path = |_, text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        self.value(name, path).unwrap_or_default()
    }

    pub fn pem_file(&mut self, name: &str) -> Option<PathBuf> {
        self.value(name, |_, text| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    /// Two files: `…_cert` and `…_key`. One alone is a mistake.
    pub fn tls(&mut self, cert_name: &str, key_name: &str) -> Option<TlsFiles> {
        let problems = self.problems.len();
        match (self.pem_file(cert_name), self.pem_file(key_name)) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            (certificate, _) => {
                let (set, unset) = match certificate {
                    Some(_) => (cert_name, key_name),
                    None => (key_name, cert_name),
                };
                // A path that is wrong by itself has been told already.
                if self.problems.len() == problems {
                    let text = format!("{set} is set and {unset} is not: expected both or neither");
                    self.problems.push(Problem::new(text));
                }
                None
            }
        }
    }

    pub fn number<T: TryFrom<u64> + Default>(&mut self, name: &str) -> T {
        self.value(name, number).unwrap_or_default()
    }

    /// A number, or what `computed` says when it is unset.
    pub fn number_or<T: TryFrom<u64>>(&mut self, name: &str, computed: T) -> T {
        self.value(name, number).unwrap_or(computed)
    }

    pub fn currency(&mut self, name: &str) -> Currency {
        self.value(name, |_, text| text.parse().ok()).unwrap_or(Currency::INR)
    }

    pub fn rate(&mut self, name: &str) -> Option<Rate> {
        self.value(name, |_, text| rate(text))
    }

    pub fn words(&mut self, name: &str) -> Option<Vec<String>> {
        self.value(name, |_, text| text.split(',').map(word).collect())
    }

    pub fn one_of<T: FromStr>(&mut self, name: &str) -> Option<T> {
        self.value(name, |_, text| text.parse().ok())
    }

    /// A text that is as `is_right` says.
    pub fn text(&mut self, name: &str, is_right: impl Fn(&str) -> bool) -> Option<String> {
        self.value(name, |_, text| is_right(text).then(|| text.to_owned()))
    }

    /// An API key.
    pub fn key(&mut self, name: &str) -> Option<Secret> {
        let (setting, given) = self.secret(name)?;
        let visible = given.text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(32..=128).contains(&given.text.len()) {
            self.problems.push(Problem::value(setting, &given));
            return None;
        }
        Some(Secret(given.text))
    }

    /// A secret with parts; what its parsing says shows nothing of it.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let (setting, given) = self.secret(name)?;
        match given.text.parse() {
            Ok(value) => Some(value),
            Err(why) => {
                self.problems.push(Problem::secret(setting, &given, &why));
                None
            }
        }
    }

    /// A secret, given itself or by the name of a file with it.
    fn secret(&mut self, name: &str) -> Option<(&'static Setting, Given)> {
        let setting = row(name);
        let itself = self.sources.given(name).cloned();
        let by_file = self.sources.given(&setting.file_name()).cloned();
        let given = match (itself, by_file) {
            (Some(itself), Some(by_file)) => {
                self.problems.push(Problem::new(format!(
                    "{name} is given twice: {} and {}; expected one of them",
                    itself.origin, by_file.origin
                )));
                return None;
            }
            (None, Some(by_file)) => match read(Path::new(&by_file.text)) {
                // A file written by an editor or `echo` ends with a newline that is not meant.
                Ok(text) => Some(Given { text: text.trim_end().to_owned(), ..by_file }),
                Err(why) => {
                    self.problems.push(Problem::unreadable(Path::new(&by_file.text), &why));
                    return None;
                }
            },
            (itself, None) => itself,
        };
        self.in_force.push(InForce { setting, given: given.clone() });
        Some((setting, given?))
    }

    fn value<T>(&mut self, name: &str, parse: impl Fn(Kind, &str) -> Option<T>) -> Option<T> {
        let setting = row(name);
        let given = self.sources.given(name).cloned().or_else(|| default_of(setting));
        self.in_force.push(InForce { setting, given: given.clone() });
        let given = given?;
        let value = parse(setting.kind, &given.text);
        if value.is_none() {
            self.problems.push(Problem::value(setting, &given));
        }
        value
    }
}

fn row(name: &str) -> &'static Setting {
    settings().find(|setting| setting.name == name).expect("a test reads every row by its name")
}

fn default_of(setting: &Setting) -> Option<Given> {
    setting.default.map(|text| Given { text: text.to_owned(), origin: Origin::Default })
}

fn number<T: TryFrom<u64>>(kind: Kind, text: &str) -> Option<T> {
    let Kind::Number { min, max } = kind else {
        return None;
    };
    // Digits only: `parse` alone would take a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = text.parse().ok().filter(|number| digits && (min..=max).contains(number))?;
    T::try_from(number).ok()
}

fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ((1..=32).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

/// `1.20 60/60`
fn rate(text: &str) -> Option<Rate> {
    let (price, both) = text.split_once(' ')?;
    let (initial, increment) = both.trim().split_once('/')?;
    let seconds = |text: &str| text.parse().ok();
    let (initial_s, increment_s) = (seconds(initial)?, seconds(increment)?);
    Rate::new(price.parse().ok()?, initial_s, increment_s, Amount::ZERO, Amount::ZERO).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_within_their_range() {
        let kind = Kind::Number { min: 2, max: 300 };
        assert_eq!(number::<u32>(kind, "90"), Some(90));
        for wrong in ["1", "301", "+90", "-1", "9e1", "", "90 ", "18446744073709551616"] {
            assert_eq!(number::<u32>(kind, wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_rate_is_a_price_and_two_increments() {
        let read = rate("1.20 60/1").expect("a rate");
        assert_eq!((read.initial_s(), read.increment_s()), (60, 1));
        assert_eq!(read.per_minute().micros(), 1_200_000);
        for wrong in ["1.20", "1.20 60", "1.20 60/0", "-1 60/60", "1,2 60/60", ""] {
            assert!(rate(wrong).is_none(), "{wrong:?}");
        }
    }
}
