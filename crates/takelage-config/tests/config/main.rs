//! The project file from outside: what is right, what is wrong, and what is said about it.

mod any;
mod disk;
mod files;
mod molecule;
mod problems;
mod project;
mod schema;
