//! Where an API is, read from `base_url`.

/// A `base_url`, taken apart. Two spellings of one address give the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    /// Scheme, host, and the port where it is not the scheme's.
    pub origin: String,
    /// The path that all requests share, without a slash at its end.
    pub path: String,
}

impl Address {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(url: &str) -> Result<Address, &'static str> {
        let lower = url.to_ascii_lowercase();
        let (scheme, port) = match () {
            () if lower.starts_with("https://") => ("https://", ":443"),
            () if lower.starts_with("http://") => ("http://", ":80"),
            () => return Err("must begin with `https://` or `http://` and a host"),
        };
        let rest = &url[scheme.len()..];
        if rest.contains(['{', '}', '?', '#', '\\']) {
            return Err("has neither slots nor a query: they belong into an action's `path`");
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.contains('@') {
            return Err("has neither a user name nor a password: credentials belong into `headers`, as secrets");
        }
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(port).unwrap_or(&host);
        if host.is_empty() || host.starts_with(':') {
            return Err("must begin with `https://` or `http://` and a host");
        }
        Ok(Address {
            origin: format!("{scheme}{host}"),
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one() {
        for url in ["https://A.example/v3", "HTTPS://a.example:443/v3/"] {
            let address = Address::read(url).expect("it is right");
            assert_eq!(
                (address.origin.as_str(), address.path.as_str()),
                ("https://a.example", "/v3")
            );
        }
        let address = Address::read("http://[::1]:8080").expect("it is right");
        assert_eq!(
            (address.origin.as_str(), address.path.as_str()),
            ("http://[::1]:8080", "")
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "https://",
            "https://:443",
            "ftp://a",
            "https://a?b",
            "https://u:p@a",
            "https:///x",
        ] {
            assert!(Address::read(url).is_err(), "{url}");
        }
    }
}
