//! A library that uses the macro.

evil_macro::attack!(macro_dependency);
