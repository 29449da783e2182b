//! Which certificate a name gets: exactly its own, then that of a wildcard, then the default one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::certificate::Certificate;

/// Made once, read by every handshake.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<String, Arc<Certificate>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Arc<Certificate>>,
    default: Option<Arc<Certificate>>,
}

impl Index {
    /// Of two certificates for a name, the one that ends later is used, and of two that end together the first.
    pub(super) fn new<'c>(
        certificates: impl IntoIterator<Item = &'c Arc<Certificate>>,
        default: Option<Arc<Certificate>>,
    ) -> Self {
        let mut index = Self { default, ..Self::default() };
        for certificate in certificates {
            for name in certificate.names().iter() {
                match name.strip_prefix("*.") {
                    Some(parent) => put(&mut index.wildcard, parent, certificate),
                    None => put(&mut index.exact, name, certificate),
                }
            }
        }
        index
    }

    /// Two look-ups, however many certificates there are.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&Arc<Certificate>> {
        name.and_then(|name| self.find_named(&lower_case(name))).or(self.default.as_ref())
    }

    fn find_named(&self, name: &str) -> Option<&Arc<Certificate>> {
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }
}

fn put(map: &mut HashMap<String, Arc<Certificate>>, name: &str, certificate: &Arc<Certificate>) {
    match map.get(name) {
        Some(held) if held.ends().0 >= certificate.ends().0 => {}
        _ => drop(map.insert(name.to_owned(), Arc::clone(certificate))),
    }
}

/// Nearly all clients send lower case, and then nothing is copied.
fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::shelf::tests::{Pair, certificate};
    use super::*;

    fn found(index: &Index, name: &str) -> String {
        let name = Some(name).filter(|name| !name.is_empty());
        index.find(name).map_or_else(|| "none".to_owned(), |found| format!("{found:?}"))
    }

    #[test]
    fn a_name_gets_its_own_certificate_then_a_wildcard_then_the_default() {
        let made = |names: &[&str], days| Arc::new(certificate(&Pair::new(names, days)));
        let exact = made(&["shop.example", "WWW.Shop.Example"], 10);
        let wildcard = made(&["*.example", "*.pages.example"], 20);
        let default = made(&["default.example"], 30);
        let index = Index::new([&wildcard, &exact], Some(Arc::clone(&default)));
        let without_default = Index::new([&wildcard, &exact], None);
        let cases = [
            ("shop.example", &exact, true),
            ("SHOP.example", &exact, true),
            ("www.shop.example", &exact, true),
            ("blog.example", &wildcard, true),
            ("a.pages.example", &wildcard, true),
            ("a.b.pages.example", &default, false), // a wildcard is one label
            ("example", &default, false),           // and not none
            ("other", &default, false),
            ("default.example", &wildcard, true), // the default one is the last resort
            ("", &default, false),                // a client without SNI
        ];
        for (name, expected, is_named) in cases {
            assert_eq!(found(&index, name), format!("{expected:?}"), "{name:?}");
            let expected = if is_named { format!("{expected:?}") } else { "none".to_owned() };
            assert_eq!(found(&without_default, name), expected, "{name:?} without a default");
        }
    }

    #[test]
    fn of_two_certificates_for_a_name_the_one_that_ends_later_is_used() {
        let made = |days| Arc::new(certificate(&Pair::new(&["shop.example", "*.example"], days)));
        let (sooner, later) = (made(10), made(20));
        for order in [[&sooner, &later], [&later, &sooner]] {
            let index = Index::new(order, None);
            for name in ["shop.example", "blog.example"] {
                assert!(Arc::ptr_eq(index.find(Some(name)).expect("found"), &later), "{name}");
            }
        }
    }
}
