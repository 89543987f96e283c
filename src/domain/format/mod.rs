//! Secret formats that need no template: `env`, `dotenv`, `properties`, `yaml`, `raw:KEY`.
//!
//! They are tinytemplate templates with formatters of ours for the quoting.
