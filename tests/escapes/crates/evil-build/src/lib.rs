//! Empty: its build script is what matters.
