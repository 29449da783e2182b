//! One macro for the traits that every text-backed type has.

/// Implements `Display`, `AsRef<str>` and serde through `FromStr` for a type that has `as_str()`. Its example is what
/// the OpenAPI document shows, and a valid value.
macro_rules! text_type {
    ($type:ty, example = $example:literal $(, pattern = $pattern:literal)?) => {
        openapi_text!($type, $example $(, $pattern)?);
        text_type!($type);
    };
    ($type:ty) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The schema of a type that is text on the wire.
#[cfg(feature = "openapi")]
macro_rules! openapi_text {
    ($type:ty, $example:literal $(, $pattern:literal)?) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    $(.pattern(Some($pattern)))?
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $type {}
    };
}

#[cfg(not(feature = "openapi"))]
macro_rules! openapi_text {
    ($type:ty, $example:literal $(, $pattern:literal)?) => {};
}
