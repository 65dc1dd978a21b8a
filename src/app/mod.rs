//! The only place that builds things: command line, start, reload, signals, drain, demo.

pub mod bind;
pub mod cache;
pub mod check;
pub mod cli;
pub mod client;
pub mod dashboard;
pub mod demo;
pub mod drain;
pub mod files;
pub mod healthcheck;
pub mod limit;
pub mod main;
pub mod origin;
pub mod output;
pub mod panics;
pub mod reload;
pub mod replay;
pub mod run;
pub mod signals;
pub mod table;
pub mod warm;
