//! One file per outside thing. Adapters return errors; they do not log and do not decide.
