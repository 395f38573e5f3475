//! Settings of mail: where it goes, whom it is from, and where its links lead. Never shows the login
//! of the mail server.

use std::str::FromStr;

use super::Problem;
use super::reader::{Reader, Secret};

/// As it was set; [`Mail::check`] says whether it fits together.
#[derive(Clone, Debug)]
pub struct Mail {
    means: Means,
    smtp_url: Option<SmtpUrl>,
    from: Option<String>,
    public_url: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Means {
    #[default]
    Log,
    LogLinks,
    Smtp,
}

impl FromStr for Means {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "log" => Ok(Self::Log),
            "log-links" => Ok(Self::LogLinks),
            "smtp" => Ok(Self::Smtp),
            _ => Err(()),
        }
    }
}

/// Where the mail server is, with its login.
#[derive(Clone, Debug)]
pub struct SmtpUrl(Secret);

impl FromStr for SmtpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, host) = place.rsplit_once('@').unwrap_or(("", place));
        let by_tls = match (scheme, query) {
            ("smtps", "") | ("smtp", "tls=required") => true,
            ("smtp", "") => false,
            _ => return Err("no mail server that is known"),
        };
        let host = host.trim_end_matches(|character: char| character.is_ascii_digit());
        let is_here =
            matches!(host.trim_end_matches(':'), "localhost" | "[::1]") || host.starts_with("127.");
        match () {
            () if host.is_empty() => Err("there is no host"),
            () if !login.is_empty() && !login.contains(':') => Err("the login has no password"),
            () if !login.is_empty() && !by_tls && !is_here => {
                Err("the login would go in plain text: expected smtps: or ?tls=required")
            }
            () => Ok(Self(Secret::of(text))),
        }
    }
}

impl Mail {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            means: reader.one_of("mailer").unwrap_or_default(),
            smtp_url: reader.parsed("smtp_url"),
            from: reader.text("mail_from", is_mailbox),
            public_url: reader.text("public_url", is_public_url),
        }
    }

    /// What no value alone can get wrong.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let mut refuse = |text: &str| problems.push(Problem::new(text.to_owned()));
        let of_smtp = [
            ("smtp_url", self.smtp_url.is_some()),
            ("mail_from", self.from.is_some()),
            ("public_url", self.public_url.is_some()),
        ];
        if self.means == Means::Smtp {
            for (name, _) in of_smtp.iter().filter(|(_, is_set)| !is_set) {
                refuse(&format!("{name} is unset: mailer = \"smtp\" needs it"));
            }
        } else if self.smtp_url.is_some() {
            refuse("smtp_url is set, and mailer is not \"smtp\": expected both or neither");
        }
    }

    /// For a control plane, once it was checked.
    pub fn mailer(&self) -> control_plane::Mailer {
        match (self.means, &self.smtp_url, &self.from) {
            (Means::Smtp, Some(url), Some(from)) => {
                control_plane::Mailer::Smtp { url: url.0.reveal().to_owned(), from: from.clone() }
            }
            (Means::LogLinks, ..) => control_plane::Mailer::LogLinks,
            _ => control_plane::Mailer::Log,
        }
    }

    pub(super) fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }
}

/// `calls@example.com`, or with a name before it in angle brackets.
fn is_mailbox(text: &str) -> bool {
    let address = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
    let (name, address) = address.unwrap_or(("", text));
    let parts = address.split_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && address.bytes().all(|byte| byte.is_ascii_graphic())
        && !name.chars().any(char::is_control)
}

fn is_public_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/'))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_never_goes_in_plain_text_to_another_machine() {
        for good in [
            "smtps://u:p@mail.example.com",
            "smtps://u:p@mail.example.com:465",
            "smtp://u:p@mail.example.com:587?tls=required",
            "smtp://mail.example.com:25",
            "smtp://u:p@127.0.0.1:2525",
            "smtp://u:p@localhost",
        ] {
            assert!(good.parse::<SmtpUrl>().is_ok(), "{good}");
        }
        for bad in [
            "smtp://u:p@mail.example.com:25",
            "smtp://u:p@mail.example.com?tls=opportunistic",
            "smtps://u@mail.example.com",
            "smtp://",
            "smtp://u:p@:25",
            "http://mail.example.com",
            "mail.example.com",
        ] {
            let why = bad.parse::<SmtpUrl>().expect_err(bad);
            assert!(!why.contains("u:p"), "{why}");
        }
    }

    #[test]
    fn senders_and_urls_are_told_from_what_is_none() {
        assert!(is_mailbox("calls@example.com") && is_mailbox("Calls <calls@example.com>"));
        assert!(!is_mailbox("calls") && !is_mailbox("Calls <calls@>") && !is_mailbox(""));
        assert!(is_public_url("https://calls.example.com/ringfence"));
        for bad in ["calls.example.com", "https://", "https://a/", "https://a#b", "ftp://a"] {
            assert!(!is_public_url(bad), "{bad}");
        }
    }
}
